"""Data: from a data set's files to the slices of a split."""

from __future__ import annotations

from magicseg.data.case import Case, load_case
from magicseg.data.dataset import EpochBatches, SliceDataset, cases_to_slices
from magicseg.data.manifest import Manifest
from magicseg.data.prepare import prepare, read_prepared
from magicseg.data.splits import Split, list_splits, split_cases
from magicseg.data.transforms import resize_image, resize_label, restore_label

__all__ = [
    "Case",
    "EpochBatches",
    "Manifest",
    "SliceDataset",
    "Split",
    "cases_to_slices",
    "list_splits",
    "load_case",
    "prepare",
    "read_prepared",
    "resize_image",
    "resize_label",
    "restore_label",
    "split_cases",
]
