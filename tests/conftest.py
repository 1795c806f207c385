"""What tests share: the phantom, composed configurations, and the command line as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from magicseg.data import prepare

PROJECT = Path(__file__).resolve().parents[1]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}

# a network and a recipe that train in seconds
TINY = (
    "backbone.network.width=2",
    "recipe.size=32",
    "recipe.epochs=2",
    "recipe.batch_size=32",
    "trainer.progress=false",
)


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
        with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
            places = (f"dataset.root={phantom}", f"outputs={tmp_path / 'outputs'}")
            return compose("config", [*TINY, *places, *overrides])

    return composed


def call(*command: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """Run a Python script of the project, e.g. ``call("train.py", "conv=regular")``."""
    script, *arguments = command
    return subprocess.run(
        [sys.executable, str(PROJECT / script), *arguments], cwd=cwd, env=ONE_THREAD, capture_output=True, text=True
    )
