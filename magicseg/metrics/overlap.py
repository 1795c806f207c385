"""Overlap of two label maps: four counts a class, and the usual ratios of them.

A ratio 0/0 is nan: what two empty masks are worth is for the protocol to say (magicseg.metrics.protocol).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from magicseg.metrics.checks import label_pair

_BLOCK = 1 << 16  # voxels counted at once, so that the joint labels stay in the processor's cache


class Counts(NamedTuple):
    """Voxels of one class: true positives, false positives, false negatives, true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


def confusion_matrix(prediction: ArrayLike, truth: ArrayLike, n_classes: int = 1) -> NDArray[np.int64]:
    """Return how many voxels of truth label i (row) were predicted as label j (column), background 0 included.

    Args:
        prediction, truth: integer label maps of equal shape, any number of axes, labels 0 to ``n_classes``.
        n_classes: number of classes without the background.

    Raises:
        ValueError: shapes differ, values are not whole numbers, or a label is out of range.
    """
    prediction, truth = label_pair(prediction, truth, n_classes)
    n = n_classes + 1
    joint_dtype = np.min_scalar_type(n * n - 1)
    prediction, truth = prediction.ravel(), truth.ravel()
    histogram = np.zeros(n * n, np.int64)
    for start in range(0, truth.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        joint = truth[block].astype(joint_dtype) * joint_dtype.type(n) + prediction[block].astype(joint_dtype)
        histogram += np.bincount(joint, minlength=n * n)
    return histogram.reshape(n, n)


def count(prediction: ArrayLike, truth: ArrayLike, n_classes: int = 1) -> list[Counts]:
    """Return the Counts of the classes 1 to ``n_classes``, in one pass over the label maps.

    Raises:
        ValueError: as confusion_matrix.

    >>> count([0, 1, 1, 2], [0, 1, 2, 2], n_classes=2)
    [Counts(tp=1, fp=1, fn=0, tn=2), Counts(tp=1, fp=0, fn=1, tn=2)]
    """
    matrix = confusion_matrix(prediction, truth, n_classes)
    total, predicted, true = int(matrix.sum()), matrix.sum(axis=0).tolist(), matrix.sum(axis=1).tolist()
    counts = []
    for label, tp in enumerate(matrix.diagonal().tolist()):
        fp, fn = predicted[label] - tp, true[label] - tp
        counts.append(Counts(tp, fp, fn, total - tp - fp - fn))
    return counts[1:]


def dice(counts: Counts) -> float:
    """Return 2 TP / (2 TP + FP + FN), the F1 score, 0 to 1.

    >>> dice(count([0, 1, 1, 1], [0, 0, 1, 1])[0])
    0.8
    """
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """Return TP / (TP + FP + FN), the Jaccard index of the foreground, 0 to 1."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def macro_iou(counts: Counts) -> float:
    """Return the mean of foreground and background IoU, 0 to 1; one that is in neither label map is left out.

    MedISeg's and CTO's released code prints this as "miou"; it is well above the foreground IoU of small objects.
    """
    background = Counts(tp=counts.tn, fp=counts.fn, fn=counts.fp, tn=counts.tp)
    present = [value for value in (iou(counts), iou(background)) if not math.isnan(value)]
    return sum(present) / len(present)


def transfuse_dice(counts: Counts) -> float:
    """Return TransFuse's 2 (TP + 0.001) / (2 TP + FP + FN + 0.001): above 1 if perfect, 2 for two empty masks."""
    return 2 * (counts.tp + 0.001) / (2 * counts.tp + counts.fp + counts.fn + 0.001)


def transfuse_iou(counts: Counts) -> float:
    """Return TransFuse's (TP + 0.001) / (TP + FP + FN + 0.001), 1 for two empty masks."""
    return (counts.tp + 0.001) / (counts.tp + counts.fp + counts.fn + 0.001)


def uctransnet_dice(counts: Counts) -> float:
    """Return 2 TP / (2 TP + FP + FN + 0.00001), as UCTransNet's test script: below 1 for a perfect mask."""
    return 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn + 1e-5)


def sensitivity(counts: Counts) -> float:
    """Return TP / (TP + FN), the recall, 0 to 1."""
    return _ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    """Return TN / (TN + FP), 0 to 1."""
    return _ratio(counts.tn, counts.tn + counts.fp)


def precision(counts: Counts) -> float:
    """Return TP / (TP + FP), 0 to 1."""
    return _ratio(counts.tp, counts.tp + counts.fp)


def accuracy(counts: Counts) -> float:
    """Return (TP + TN) / all voxels, 0 to 1: near 1 for small objects whatever was predicted."""
    return _ratio(counts.tp + counts.tn, sum(counts))


DICE_FORMS: Mapping[str, Callable[[Counts], float]] = {
    "plain": dice,
    "transfuse": transfuse_dice,
    "uctransnet": uctransnet_dice,
}
"""The formulas that published code takes for Dice."""

IOU_FORMS: Mapping[str, Callable[[Counts], float]] = {"plain": iou, "macro": macro_iou, "transfuse": transfuse_iou}
"""The formulas that published code takes for IoU."""


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
