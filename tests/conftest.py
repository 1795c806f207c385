"""What tests share: the phantom and configurations of tiny runs on it."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: on tiny arrays threads wait for each other

import golden_files
import pytest
from command_line import TINY, configuration
from omegaconf import DictConfig

from magicseg.data import prepare


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    """The prepared phantom."""
    root = tmp_path_factory.mktemp("phantom")
    prepare("phantom", None, root, quiet=True)
    return root


@pytest.fixture
def configure(phantom, tmp_path):
    """Compose the configuration of a tiny run on the phantom, with overrides."""

    def composed(*overrides: str) -> DictConfig:
        return configuration(*TINY, f"dataset.root={phantom}", f"outputs={tmp_path / 'outputs'}", *overrides)

    return composed


def pytest_terminal_summary(terminalreporter):
    """Say how many golden files were checked."""
    golden_files.report(terminalreporter)
