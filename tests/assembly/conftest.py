"""A run folder to spoil."""

import shutil

import pytest
from saved_run import save_run


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """The folder of a tiny run with fresh weights."""
    return save_run(tmp_path_factory.mktemp("original"))


@pytest.fixture
def saved(original, tmp_path):
    """A copy of it."""
    return shutil.copytree(original, tmp_path / "run")
