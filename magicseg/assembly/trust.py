"""What the configuration of a run may name: whatever a configuration names is called when its network is built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from magicseg.convs import TemperatureSchedule
from magicseg.errors import UserError

ROOMS = ("magicseg.convs", "magicseg.guidance", "magicseg.losses", "magicseg.models", "torch.nn", "torch.optim")
"""Only below these is a name looked up at all."""

CLASSES = (nn.Module, Optimizer, TemperatureSchedule)
HOMES = ("magicseg.convs", "magicseg.guidance", "magicseg.losses", "magicseg.models", "torch.nn.modules", "torch.optim")
"""What a name may stand for: a class of these kinds that is defined in one of these packages."""

FUNCTIONS = (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_)


def check_trusted(config: DictConfig, path: Path) -> None:
    """Refuse a configuration that names anything but known networks, convolutions, losses, layers and optimisers.

    Nothing that it names is called. Interpolations are refused too: they are resolved when a run is written, and could
    read the environment, or turn into another name after this check.

    Raises:
        UserError: names ``path``, the key, what was found and how to allow it.
    """
    for key, value in _entries(OmegaConf.to_container(config, resolve=False), ""):
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{path}: {key} is {value!r}; the configuration of a run holds no ${{...}}. {_ADVICE}")
        if key.rpartition(".")[2] == "_target_" and not _is_known(value):
            raise UserError(
                f"{path}: {key} is {value!r}, which is not one of magicseg's networks, convolutions, guidance and "
                f"losses, nor a layer of torch.nn or an optimiser of torch.optim. {_ADVICE}"
            )


_ADVICE = (
    "What a configuration names runs on this machine. If you know who made it and trust them, allow it with trust=true."
)


def _entries(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every key of a container with its value, and the positions in lists, from the top down."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in children:
        inner = f"{key}.{name}" if key else str(name)
        yield inner, value
        yield from _entries(value, inner)


def _is_known(target: Any) -> bool:
    if not isinstance(target, str) or not target.startswith(tuple(f"{room}." for room in ROOMS)):
        return False
    try:
        found = get_object(target)  # finds it as instantiate will: by imports and attributes
    except Exception:  # no such module or attribute
        return False
    if isinstance(found, type):
        return issubclass(found, CLASSES) and f"{found.__module__}.".startswith(tuple(f"{home}." for home in HOMES))
    return any(found is function for function in FUNCTIONS)
