"""A run's folder -> its network as it was scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn
from yaml import YAMLError

from magicseg.assembly.build import build_model, build_temperature, preprocessing
from magicseg.assembly.checkpoint import load_checkpoint
from magicseg.assembly.trust import check_trusted
from magicseg.convs import set_temperature
from magicseg.data import Preprocessing
from magicseg.errors import UserError
from magicseg.runs import RunFolder

NEEDED = {
    "seed": "a whole number",
    "dataset.name": "as in configs/dataset",
    "dataset.root": "where the data lie",
    "dataset.split": "as in configs/dataset",
    "dataset.channels": "1 or 3",
    "dataset.classes": "names of the labels 1, 2, ...",
    "backbone.name": "as in configs/backbone",
    "backbone.network": "as in configs/backbone",
    "conv.name": "as in configs/conv",
    "conv.operator": "as in configs/conv",
    "recipe.budget": "full, cpu or demo",
    "recipe.size": "one number or [height, width]",
    "recipe.resize": "spline or bilinear",
    "recipe.normalise": "none or imagenet",
    "recipe.output": "softmax or sigmoid",
    "recipe.selection": "best_validation_dice, best_validation_loss, best_validation_dice_loss or last",
}
"""Keys without which a run cannot be read, and what they may hold."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network in evaluation mode on the CPU, with what its images must go through; ``epoch`` is its checkpoint's."""

    folder: RunFolder
    config: DictConfig
    model: nn.Module
    preprocessing: Preprocessing
    epoch: int

    @property
    def checkpoint(self) -> Path:
        """The file of the weights."""
        return _chosen(self.config, self.folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels 1, 2, ..."""
        return tuple(self.config.dataset.classes)


def load_network(path: Path, trust: bool = False) -> TrainedNetwork:
    """Return the network of the run in the folder ``path``, with the checkpoint that its recipe chooses.

    ``config.yaml`` and the checkpoint are enough; where there is a status, it must be finished.

    Raises:
        UserError: no such run, not finished, of another version, or not to be trusted (see ``check_trusted``).
    """
    folder = RunFolder(path)
    state = folder.status()["state"]
    if state not in ("finished", "new"):
        raise UserError(f"The run in {path} is {state}; only a finished one is used. Go on with it by its own command.")
    config = load_config(folder, trust)
    model = build_model(config, pretrained=False)
    checkpoint = load_weights(config, folder, model)
    return TrainedNetwork(folder, config, model.eval(), preprocessing(config.recipe), checkpoint["epoch"])


def load_config(folder: RunFolder, trust: bool = False) -> DictConfig:
    """Return the configuration that a run was trained with.

    Raises:
        UserError: there is none, it lacks keys, or it names code that is not known and ``trust`` is not set.
    """
    if not folder.config.is_file():
        raise UserError(f"{folder.path} is not the folder of a run: it has no {folder.config.name}.")
    try:
        config = OmegaConf.load(folder.config)
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder.config} cannot be read: {error}") from error
    if not isinstance(config, DictConfig):
        raise UserError(f"{folder.config} is not the configuration of a run.")
    if not trust:
        check_trusted(config, folder.config)
    _check_keys(config, folder.config)
    return config


def _check_keys(config: DictConfig, path: Path) -> None:
    lacking = []
    for key, meaning in NEEDED.items():
        try:
            value = OmegaConf.select(config, key)
        except OmegaConfBaseException:  # a part of the key is a value itself
            value = None
        if value is None:
            lacking.append(f"{key} ({meaning})")
    if lacking:
        raise UserError(
            f"{path} lacks {', '.join(lacking)}: another version of magicseg wrote it. Train the run again, or add "
            "what that version did to a copy of the folder."
        )


def _chosen(config: DictConfig, folder: RunFolder) -> Path:
    """Return the file of the checkpoint that the recipe's selection rule chooses."""
    return folder.last if config.recipe.selection == "last" else folder.best


def load_weights(config: DictConfig, folder: RunFolder, model: nn.Module) -> dict[str, Any]:
    """Give ``model`` the weights of the chosen checkpoint, and the temperature of that time; return the checkpoint.

    Raises:
        UserError: the checkpoint is missing, damaged or of another network.
    """
    checkpoint = load_checkpoint(_chosen(config, folder))
    try:
        model.load_state_dict(checkpoint["model"])
        epoch, temperature = checkpoint["epoch"], build_temperature(config)
        if temperature is not None:  # the kernel attention is as hot as when the checkpoint was written
            set_temperature(model, temperature.at(epoch))
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"The checkpoint in {folder.last.parent} does not fit the network that {folder.config} describes: {reason}"
        ) from error
    return checkpoint
