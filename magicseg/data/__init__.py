"""Data: from a data set's files to the slices of a split."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from magicseg.data.case import Case, load_case, load_instances
from magicseg.data.manifest import Manifest
from magicseg.data.prepare import prepare, read_prepared
from magicseg.data.splits import Split, list_splits, split_cases
from magicseg.data.transforms import Preprocessing

if TYPE_CHECKING:
    from magicseg.data.dataset import AUGMENTATIONS, EpochBatches, SliceDataset, cases_to_slices

__all__ = [
    "AUGMENTATIONS",
    "Case",
    "EpochBatches",
    "Manifest",
    "Preprocessing",
    "SliceDataset",
    "Split",
    "cases_to_slices",
    "list_splits",
    "load_case",
    "load_instances",
    "prepare",
    "read_prepared",
    "split_cases",
]


def __getattr__(name: str) -> Any:
    """Import what needs PyTorch only when it is asked for: preparing does without, and so do its many processes."""
    if name in __all__:
        return getattr(import_module("magicseg.data.dataset"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
