"""What a configuration says of the network: its modules, its input, the hardware that it runs on."""

from __future__ import annotations

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from magicseg.convs import TemperatureSchedule
from magicseg.data import Preprocessing
from magicseg.errors import UserError
from magicseg.models.model import SegmentationModel
from magicseg.seeding import derive_seed


def build_model(config: DictConfig, pretrained: bool = True) -> SegmentationModel:
    """Return the freshly initialised network; its weights derive from the seed.

    ``pretrained=False`` leaves out the ImageNet weights of a configuration that asks for them: for a network that is
    only counted, or whose weights come from a checkpoint.

    Raises:
        UserError: a setting that the network or the convolution refuses, or an input size that does not fit.
    """
    torch.manual_seed(derive_seed(config.seed, "init"))
    without = {} if pretrained or "pretrained" not in config.backbone.network else {"pretrained": False}
    try:
        conv = instantiate(config.conv.operator)
        model: SegmentationModel = instantiate(
            config.backbone.network,
            **without,
            in_channels=config.dataset.channels,
            num_classes=count_logits(config),
            conv=conv,
        )
        if "guidance" in config.conv:
            model.guidance = instantiate(config.conv.guidance)(model.channels)
    except (InstantiationException, ValueError, TypeError) as error:
        raise UserError(
            f"backbone={config.backbone.name} conv={config.conv.name}: {error.__cause__ or error}"
        ) from error
    _check_size(config, model.stride)
    return model


def count_logits(config: DictConfig) -> int:
    """Return the channels of the network's output: one a class and the background, or one alone for a single class."""
    return 1 if config.recipe.output == "sigmoid" else len(config.dataset.classes) + 1


def _check_size(config: DictConfig, stride: int) -> None:
    """Refuse an input size that the network cannot take."""
    height, width = (max(stride, round(side / stride) * stride) for side in input_size(config.recipe))
    if (height, width) != input_size(config.recipe):
        raise UserError(
            f"recipe.size={config.recipe.size} does not fit backbone={config.backbone.name}, whose height and width "
            f"must be multiples of {stride}; the nearest is {height if height == width else [height, width]}."
        )


def build_temperature(config: DictConfig) -> TemperatureSchedule | None:
    """Return the convolution's temperature schedule; None for one that has no temperature or keeps it."""
    return instantiate(config.conv.temperature) if "temperature" in config.conv else None


def preprocessing(recipe: DictConfig) -> Preprocessing:
    """Return how a recipe brings a slice to the network."""
    return Preprocessing(input_size(recipe), recipe.resize, recipe.normalise)


def input_size(recipe: DictConfig) -> tuple[int, int]:
    """Return the network's input (height, width) in pixels; ``recipe.size`` is one number or both.

    Raises:
        UserError: it is anything else.
    """
    size = recipe.size
    sides = [size, size] if isinstance(size, int) else list(size) if isinstance(size, ListConfig) else []
    if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
        raise UserError(
            f"recipe.size is {size!r}; it must be one number or [height, width]. "
            "Both are whole numbers of pixels, at least 1."
        )
    return sides[0], sides[1]


def find_device(name: str, key: str = "device") -> torch.device:
    """Return the device of that name; ``auto`` is a GPU if there is one.

    Raises:
        UserError: there is no such device; the text names the ``key`` that asked for it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{key}={name} cannot be used ({reason}). Allowed: auto, cpu, cuda, cuda:N.") from error
    return device
