"""Data: from a data set's files to the slices of a split."""

from __future__ import annotations

from magicseg.data.augmentations import AUGMENTATIONS
from magicseg.data.case import Case, load_case, load_instances
from magicseg.data.dataset import EpochBatches, SliceDataset, cases_to_slices
from magicseg.data.manifest import Manifest
from magicseg.data.prepare import prepare, read_prepared
from magicseg.data.splits import Split, list_splits, split_cases
from magicseg.data.transforms import Preprocessing

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
