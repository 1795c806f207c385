"""Checks of what a caller hands in: label maps, masks and spacings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def integer_pair(prediction: ArrayLike, truth: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both as arrays of whole numbers of one shape, or raise ValueError."""
    pair = np.asarray(prediction), np.asarray(truth)
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"prediction has shape {pair[0].shape} but truth {pair[1].shape}; both need the same shape.")
    for side, array in zip(("prediction", "truth"), pair, strict=True):
        _check_integer(side, array)
    return pair


def label_pair(prediction: ArrayLike, truth: ArrayLike, n_classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both as label maps with values 0 (background) to ``n_classes``, or raise ValueError."""
    pair = integer_pair(prediction, truth)
    for side, labels in zip(("prediction", "truth"), pair, strict=True):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high > n_classes:
            wrong = low if low < 0 else high
            raise ValueError(f"{side} holds the label {wrong}; allowed are 0 (background) to {n_classes}.")
    return pair


def mask_pair(prediction: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return both as boolean masks, foreground where not 0, or raise ValueError."""
    prediction, truth = integer_pair(prediction, truth)
    return prediction != 0, truth != 0


def positive_spacing(spacing: Sequence[float], ndim: int) -> tuple[float, ...]:
    """Return ``spacing`` as one positive finite number an axis, or raise ValueError."""
    values = tuple(float(value) for value in spacing)
    if len(values) != ndim:
        raise ValueError(f"spacing {values} has {len(values)} values for arrays of {ndim} axes; give one an axis.")
    if not all(0 < value < float("inf") for value in values):
        raise ValueError(f"spacing {values} must hold positive finite numbers (mm, in the order of the axes).")
    return values


def _check_integer(side: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biu":
        found = "NaN in " if array.dtype.kind == "f" and np.isnan(array).any() else ""
        raise ValueError(f"{side} must hold whole numbers (integer or bool); found {found}an array of {array.dtype}.")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{side} has shape {array.shape}; an image needs at least one axis and one voxel.")
