"""What a configuration stands for: hardware, run folder, network, provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from magicseg.convs import TemperatureSchedule
from magicseg.errors import UserError, choose
from magicseg.files import read_json, write_json, write_text
from magicseg.losses import Supervision
from magicseg.models.model import SegmentationModel
from magicseg.runs import RunFolder, provenance, run_folder
from magicseg.seeding import derive_seed

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
SELECTIONS = ("best_validation_dice", "last")


def check(config: DictConfig) -> None:
    """Refuse values that no run could use; UserError names the key, what was found and what is allowed."""
    choose("recipe.selection", config.recipe.selection, SELECTIONS)
    choose("trainer.precision", config.trainer.precision, PRECISIONS)
    for key in ("recipe.epochs", "recipe.size", "recipe.batch_size"):
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{key} is {value!r}; it must be a whole number of at least 1.")
    if not isinstance(config.seed, int):
        raise UserError(f"seed is {config.seed!r}; it must be a whole number.")


def set_up(trainer: DictConfig) -> torch.device:
    """Apply the trainer's threads and determinism; return its device."""
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
    torch.use_deterministic_algorithms(trainer.deterministic, warn_only=True)
    name = trainer.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"trainer.device={name} cannot be used ({reason}). Allowed: auto, cpu, cuda, cuda:N."
        ) from error
    return device


def device_name(device: torch.device) -> str:
    """Return the hardware's name for tables, e.g. "NVIDIA H200" or "CPU, 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type.upper()}, {torch.get_num_threads()} threads"


def find_folder(config: DictConfig) -> RunFolder:
    """Return the run folder of everything in ``config`` that changes the numbers."""
    settings: dict[str, Any] = OmegaConf.to_container(  # type: ignore[assignment]
        OmegaConf.masked_copy(config, ["dataset", "backbone", "conv", "recipe"]), resolve=True
    )
    for key in ("root", "paper_protocol"):  # where the data lie and how they are scored do not change the training
        settings["dataset"].pop(key)
    settings["precision"] = config.trainer.precision
    names = (config.dataset.name, config.backbone.name, config.conv.name)
    return run_folder(Path(config.outputs), *names, settings, config.seed)


def load_config(folder: RunFolder) -> DictConfig:
    """Return the configuration that a run was trained with."""
    config = OmegaConf.load(folder.config)
    if not isinstance(config, DictConfig):
        raise UserError(f"{folder.config} is not the configuration of a run.")
    return config


def build_model(config: DictConfig) -> SegmentationModel:
    """Return the freshly initialised network; its weights derive from the seed.

    Raises:
        UserError: a setting that the network or the convolution refuses, or an input size that does not fit.
    """
    torch.manual_seed(derive_seed(config.seed, "init"))
    try:
        conv = instantiate(config.conv.operator)
        model: SegmentationModel = instantiate(
            config.backbone.network,
            in_channels=config.dataset.channels,
            num_classes=len(config.dataset.classes) + 1,
            conv=conv,
        )
        if "guidance" in config.conv:
            model.guidance = instantiate(config.conv.guidance)(model.channels)
    except (InstantiationException, ValueError, TypeError) as error:
        raise UserError(
            f"backbone={config.backbone.name} conv={config.conv.name}: {error.__cause__ or error}"
        ) from error
    stride, size = model.stride, config.recipe.size
    if size % stride:
        nearest = max(stride, round(size / stride) * stride)
        raise UserError(
            f"recipe.size={size} does not fit backbone={config.backbone.name}, which needs a multiple of {stride}; "
            f"the nearest is {nearest}."
        )
    return model


def build_temperature(config: DictConfig) -> TemperatureSchedule | None:
    """Return the convolution's temperature schedule; None for one that has no temperature or keeps it."""
    return instantiate(config.conv.temperature) if "temperature" in config.conv else None


def build_loss(config: DictConfig) -> nn.Module:
    """Return the recipe's loss on every supervised output, with the edge map's loss where there is an edge map."""
    try:
        edge_weight = config.conv.get("edge_weight", config.backbone.get("edge_weight", 0.0))
        return Supervision(instantiate(config.recipe.loss), config.backbone.get("supervision", [1.0]), edge_weight)
    except InstantiationException as error:
        raise UserError(f"recipe.loss: {error.__cause__ or error}") from error


def record_provenance(config: DictConfig, folder: RunFolder, manifest: str, device: torch.device) -> None:
    """Write the configuration and what the numbers depend on besides it.

    Raises:
        UserError: the run was begun on other data; its remaining epochs would not belong to it.
    """
    facts = {**provenance(device_name(device), torch.get_num_threads()), "manifest": manifest}
    if folder.last.is_file() and folder.provenance.is_file():
        begun = read_json(folder.provenance)
        if begun["manifest"] != manifest:
            raise UserError(
                f"{folder.path} was begun on other data (manifest {begun['manifest'][:12]}, now {manifest[:12]}). "
                "Bring the data back, or delete the folder to start again."
            )
        facts = {**facts, "started": begun["started"], "resumed": [*begun.get("resumed", []), facts["started"]]}
    write_text(folder.config, OmegaConf.to_yaml(config, resolve=True))
    write_json(folder.provenance, facts)
