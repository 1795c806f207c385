"""What a configuration stands for: hardware, loss, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from magicseg.assembly.build import build_model, count_logits, find_device, input_size, preprocessing
from magicseg.data import AUGMENTATIONS, list_splits
from magicseg.errors import UserError, choose
from magicseg.evaluation.validation import Loss
from magicseg.files import read_json, write_json, write_text
from magicseg.runs import RunFolder, provenance
from magicseg.training.loop import SELECTIONS, Clip
from magicseg.training.optim import schedule
from magicseg.training.protocols import protocols_of

if TYPE_CHECKING:
    from magicseg.losses import Supervision

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
OUTPUTS = ("softmax", "sigmoid")
SESSION = ("code", "git", "device")
"""What the provenance keeps of the sessions before the last one."""


def check(config: DictConfig) -> None:
    """Refuse values that no run could use; UserError names the key, what was found and what is allowed."""
    recipe = config.recipe
    choose("recipe.selection", recipe.selection, SELECTIONS)
    choose("recipe.output", recipe.output, OUTPUTS)
    choose("recipe.augment", recipe.augment, AUGMENTATIONS)
    choose("trainer.precision", config.trainer.precision, PRECISIONS)
    for dataset in (config.dataset, config.dataset.get("train")):
        if dataset is not None:
            choose(f"split of {dataset.name}", dataset.split, list_splits(dataset.name))
    protocols_of(config)  # refuses values that are not legal
    schedule(recipe.schedule)  # refuses any other
    preprocessing(recipe)  # refuses any other size, resizing and normalisation
    if recipe.output == "sigmoid" and len(config.dataset.classes) > 1:
        raise UserError(
            f"recipe.output=sigmoid is for one class; dataset={config.dataset.name} has {len(config.dataset.classes)}. "
            "Use recipe.output=softmax with a loss for several classes."
        )


def check_network(config: DictConfig) -> None:
    """Refuse a network that cannot be built, or not for the size of the images; its weights take no memory.

    Raises:
        UserError: as ``build_model``.
    """
    _build_without_memory(config)


def _build_without_memory(config: DictConfig) -> nn.Module:
    """Return the network with weights that take no memory, if its operators can be built so."""
    try:
        with torch.device("meta"):
            return build_model(config, pretrained=False)
    except UserError:  # an operator of one's own may not know the meta device
        return build_model(config, pretrained=False)


def check_last_batch(config: DictConfig, slices: int) -> None:
    """Refuse a last batch of one slice where batch normalisation would have one value a channel to train on.

    The network is run with fake tensors: nothing is computed, and weights take no memory.

    Args:
        config: the run's configuration.
        slices: number of slices to train on.

    Raises:
        UserError: names the keys that can be changed.
    """
    batch_size = config.recipe.batch_size
    if (slices % batch_size or batch_size) > 1:
        return
    from torch._subclasses.fake_tensor import FakeTensorMode  # takes a second, and is needed only here

    model = _build_without_memory(config).train()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            model.to_empty(device="cpu")
            model(torch.empty(1, config.dataset.channels, *input_size(config.recipe)))
    except Exception as error:  # an operator of one's own may not take fake tensors; then the training will tell
        if "Expected more than 1 value per channel" in str(error):
            raise UserError(
                f"{slices} slices with recipe.batch_size={batch_size} leave one slice for the last batch of an epoch, "
                f"and at recipe.size={config.recipe.size} backbone={config.backbone.name} has a map of one pixel, "
                "which batch normalisation cannot train on. Take another recipe.batch_size or a larger recipe.size."
            ) from error


def set_up(trainer: DictConfig) -> torch.device:
    """Apply the trainer's threads and determinism; return its device."""
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
    torch.use_deterministic_algorithms(trainer.deterministic, warn_only=True)
    return find_device(trainer.device, "trainer.device")


def device_name(device: torch.device) -> str:
    """Return the hardware's name for tables, e.g. "NVIDIA H200" or "CPU, 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type.upper()}, {torch.get_num_threads()} threads"


def build_optimizer(config: DictConfig, model: nn.Module) -> Optimizer:
    """Return the recipe's optimiser of the network's weights."""
    build = _instantiate("recipe.optimizer", config.recipe.optimizer)
    try:
        return build(model.parameters())
    except (TypeError, ValueError) as error:
        raise UserError(f"recipe.optimizer: {error}") from error


def build_clip(config: DictConfig) -> Clip | None:
    """Return what limits the gradients; None where the recipe does not."""
    return None if config.recipe.clip is None else _instantiate("recipe.clip", config.recipe.clip)


def build_loss(config: DictConfig) -> Supervision:
    """Return the recipe's loss on every supervised output, with the edge map's loss where there is an edge map.

    Raises:
        UserError: the loss cannot be built, or not be taken of as many logits as the network returns.
    """
    from magicseg.losses import Supervision  # MONAI takes seconds, for which only a training must wait

    edge_weight = config.conv.get("edge_weight", config.backbone.get("edge_weight", 0.0))
    loss = _instantiate("recipe.loss", config.recipe.loss)
    try:
        loss(torch.zeros(1, count_logits(config), 32, 32), torch.zeros(1, 32, 32, dtype=torch.int64))
    except ValueError as error:
        raise UserError(f"recipe.loss: {error}") from error
    return Supervision(loss, config.backbone.get("supervision", [1.0]), edge_weight)


def validation_losses(loss: Supervision) -> dict[str, Loss]:
    """Return what is measured on the validation cases beside Dice: the losses by which a checkpoint can be chosen."""
    from magicseg.losses import dice_loss

    return {"validation_loss": loss.segmentation, "validation_dice_loss": dice_loss}


def _instantiate(key: str, node: DictConfig) -> Any:
    try:
        return instantiate(node)
    except InstantiationException as error:
        raise UserError(f"{key}: {error.__cause__ or error}") from error


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
        resumed = [*begun.get("resumed", []), facts["started"]]
        earlier = [*begun.get("earlier", []), {name: begun[name] for name in SESSION}]
        facts = {**facts, "started": begun["started"], "resumed": resumed, "earlier": earlier}
    write_text(folder.config, OmegaConf.to_yaml(config, resolve=True))
    write_json(folder.provenance, facts)
