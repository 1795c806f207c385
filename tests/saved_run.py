"""The folder of a run that was never trained: its configuration and a checkpoint of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from command_line import TINY, configuration
from omegaconf import OmegaConf
from torch import nn

from magicseg.assembly.build import build_model, input_size
from magicseg.assembly.checkpoint import save_checkpoint

RGB = ("dataset=glas", "recipe=glas", "conv=regular", "recipe.selection=last", "backbone.network.width=4")


def save_run(path: Path, *overrides: str) -> Path:
    """Write the folder of the tiny run of that configuration."""
    config = configuration(*TINY, *overrides)
    model = build_model(config)
    _balance(model, torch.rand(4, config.dataset.channels, *input_size(config.recipe)))
    OmegaConf.resolve(config)
    path.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, path / "config.yaml")
    for name in ("best", "last"):
        save_checkpoint(path / "checkpoints" / f"{name}.pt", {"model": model.state_dict(), "epoch": 2})
    return path


def _balance(model: nn.Module, images: torch.Tensor) -> None:
    """Shift the last layer so that random images show every class."""
    with torch.no_grad():
        model.train()(images)  # for the statistics of batch normalisation
        last = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.bias is not None][-1]
        last.bias -= model.eval()(images).mean((0, 2, 3))


def edit_config(path: Path, key: str, value: Any) -> None:
    """Set a key of the run's configuration, or remove it by ``...``."""
    config = OmegaConf.load(path / "config.yaml")
    if value is ...:
        parent, _, name = key.rpartition(".")
        del OmegaConf.select(config, parent)[name]
    else:
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    OmegaConf.save(config, path / "config.yaml")
