"""The project as tests call it: tiny configurations and the command line."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

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


def configuration(*overrides: str) -> DictConfig:
    """Compose the project's configuration."""
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        return compose("config", list(overrides))


def call(*command: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """Run a Python script of the project, e.g. ``call("train.py", "conv=regular")``."""
    script, *arguments = command
    return subprocess.run(
        [sys.executable, str(PROJECT / script), *arguments], cwd=cwd, env=ONE_THREAD, capture_output=True, text=True
    )


def run_script(name: str, *arguments: object) -> int:
    """Run a script of scripts/ in this process as from the command line; return its exit code."""
    with patch.object(sys, "argv", [name, *map(str, arguments)]):
        try:
            runpy.run_path(str(PROJECT / "scripts" / name), run_name="__main__")
        except SystemExit as end:
            return end.code
    return 0
