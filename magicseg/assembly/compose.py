"""The YAML groups: where they are, and what they compose to without a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def config_folder() -> Path:
    """Return the folder of the YAML groups: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """Return the configuration that ``python train.py`` with these overrides would have.

    Raises:
        HydraException: an unknown name or key.
    """
    from hydra import compose, initialize_config_dir  # a third of a second, for which not every table must wait

    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("config", list(overrides))
