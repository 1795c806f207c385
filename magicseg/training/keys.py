"""What single keys of a configuration may hold; free of PyTorch, so that a sweep is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf

from magicseg.errors import UserError


class Kind(NamedTuple):
    """What a value may be: a test, and the same in words."""

    fits: Callable[[Any], bool]
    words: str

    def or_null(self) -> Kind:
        """Return the kind that allows null too."""
        return Kind(lambda value: value is None or self.fits(value), f"{self.words}, or null")

    def check(self, key: str, value: Any) -> None:
        """Raise UserError that names the key, what was found and what is allowed unless ``value`` fits."""
        if not self.fits(value):
            raise UserError(f"{key} is {'null' if value is None else repr(value)}; it must be {self.words}.")


def whole(least: int) -> Kind:
    """Return the kind of whole numbers of at least ``least``; true and false are none."""
    return Kind(lambda value: is_whole(value) and value >= least, f"a whole number of at least {least}")


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number; Python takes true and false for numbers too."""
    return isinstance(value, int) and not isinstance(value, bool)


POSITIVE = Kind(
    lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0, "a number above 0"
)
FLAG = Kind(lambda value: isinstance(value, bool), "true or false")
TEXT = Kind(lambda value: isinstance(value, str) and value != "", "a text")
NAMES = Kind(lambda value: isinstance(value, ListConfig) and all(map(TEXT.fits, value)), "a list of names")
GPUS = Kind(
    lambda value: isinstance(value, Sequence) and len(value) > 0 and all(is_whole(gpu) and gpu >= 0 for gpu in value),
    "a list of GPU numbers such as [0, 1]",
)
TARGET = Kind(
    lambda value: isinstance(value, DictConfig) and "_target_" in value,
    "a group of keys with the _target_ that is built, as in configs/",
)
KINDS = {
    "outputs": TEXT,
    "run": TEXT.or_null(),
    "trust": FLAG,
    "seed": Kind(is_whole, "a whole number"),
    "dataset.name": TEXT,
    "dataset.root": TEXT,
    "dataset.split": TEXT,
    "dataset.allow_missing": FLAG,
    "dataset.channels": Kind(lambda value: is_whole(value) and value in (1, 3), "1 (grey) or 3 (RGB)").or_null(),
    "dataset.classes": NAMES.or_null(),
    "backbone.network": TARGET,
    "conv.operator": TARGET,
    "recipe.epochs": whole(1),
    "recipe.batch_size": whole(1),
    "recipe.optimizer": TARGET,
    "recipe.clip": TARGET.or_null(),
    "recipe.loss": TARGET,
    "trainer.device": Kind(TEXT.fits, "auto, cpu, cuda or cuda:N"),
    "trainer.workers": whole(0),
    "trainer.threads": whole(1).or_null(),
    "trainer.deterministic": FLAG,
    "trainer.progress": FLAG,
    "trainer.overlays": FLAG,
}
"""The keys that are not looked up by name elsewhere."""

FOLDER = ("outputs", "run", "dataset.name", "dataset.root", "backbone.network")
"""Without these the run's folder cannot be told."""


def check_keys(config: DictConfig, keys: Iterable[str] = KINDS) -> None:
    """Refuse values of another kind than their key allows.

    Raises:
        UserError: names the key, what was found and what is allowed.
    """
    for key in keys:
        KINDS[key].check(key, OmegaConf.select(config, key))
