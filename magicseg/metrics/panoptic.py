"""Panoptic quality of instance maps, with the counts and values of the CoNIC challenge.

Instances match if their IoU is above 0.5, so a match is unique. PQ = DQ x SQ: detection quality times segmentation
quality (Kirillov et al., CVPR 2019). As in CoNIC, 1e-6 is added to the denominators, and nothing to find is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from magicseg.metrics.checks import integer_pair, label_pair

_EPSILON = 1e-6


@dataclass(frozen=True)
class PanopticQuality:
    """Matched (``tp``), surplus (``fp``) and missed (``fn``) instances, and the sum of the matches' IoU."""

    tp: int
    fp: int
    fn: int
    sum_iou: float

    @property
    def dq(self) -> float:
        """Detection quality TP / (TP + FP/2 + FN/2), 0 to 1."""
        return self.tp / (self.tp + 0.5 * self.fp + 0.5 * self.fn + _EPSILON)

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of the matches, 0 to 1."""
        return self.sum_iou / (self.tp + _EPSILON)

    @property
    def pq(self) -> float:
        """Panoptic quality DQ x SQ, 0 to 1."""
        return self.dq * self.sq


def panoptic_quality(prediction: ArrayLike, truth: ArrayLike) -> PanopticQuality:
    """Return the panoptic quality of one image.

    Args:
        prediction, truth: instance maps of equal shape: 0 is background, every other number one instance; the numbers
            need not be consecutive, nor the same on both sides.

    Raises:
        ValueError: shapes differ, or values are not whole numbers of 0 or more.

    >>> quality = panoptic_quality([[7, 7, 7, 0, 9]], [[1, 1, 0, 0, 0]])
    >>> quality
    PanopticQuality(tp=1, fp=1, fn=0, sum_iou=0.6666666666666666)
    >>> round(quality.pq, 4)
    0.4444
    """
    prediction, truth = integer_pair(prediction, truth)
    if min(prediction.min(), truth.min()) < 0:
        raise ValueError("Instance maps must hold 0 (background) or positive numbers; found a negative one.")
    (true, n_true), (predicted, n_predicted) = _renumber(truth), _renumber(prediction)
    iou = _iou_of_pairs(true, predicted)
    matched = iou[iou > 0.5]
    return PanopticQuality(matched.size, n_predicted - matched.size, n_true - matched.size, float(matched.sum()))


def panoptic_quality_per_class(
    prediction: ArrayLike, truth: ArrayLike, prediction_classes: ArrayLike, truth_classes: ArrayLike, n_classes: int
) -> list[PanopticQuality]:
    """Return the panoptic quality of the classes 1 to ``n_classes`` in one image; instances match within a class only.

    Args:
        prediction, truth: instance maps as in panoptic_quality.
        prediction_classes, truth_classes: class of each pixel, 0 (background) to ``n_classes``; same shape.
        n_classes: number of classes.

    Raises:
        ValueError: shapes differ, values are not whole numbers of 0 or more, or a class is out of range.
    """
    prediction, truth = integer_pair(prediction, truth)
    prediction_classes, truth_classes = label_pair(prediction_classes, truth_classes, n_classes)
    integer_pair(prediction, prediction_classes)
    return [
        panoptic_quality(prediction * (prediction_classes == label), truth * (truth_classes == label))
        for label in range(1, n_classes + 1)
    ]


def pooled(qualities: Iterable[PanopticQuality]) -> PanopticQuality:
    """Return the quality of all images taken as one: instances are counted over the whole set (CoNIC's "PQ+")."""
    images = list(qualities)
    return PanopticQuality(
        tp=sum(image.tp for image in images),
        fp=sum(image.fp for image in images),
        fn=sum(image.fn for image in images),
        sum_iou=math.fsum(image.sum_iou for image in images),
    )


def mean_pq(qualities: Sequence[PanopticQuality]) -> float:
    """Return the mean PQ over images (CoNIC's "PQ"), or over classes (its "mPQ+").

    Raises:
        ValueError: there is nothing to average.
    """
    if not qualities:
        raise ValueError("There is no panoptic quality to average.")
    return math.fsum(quality.pq for quality in qualities) / len(qualities)


def _iou_of_pairs(true: NDArray[np.intp], predicted: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the IoU of each true with each predicted instance that it overlaps, ordered by their numbers.

    Only pairs that meet are counted: a table of all pairs grows with the square of the instances.
    """
    true_area, predicted_area = np.bincount(true), np.bincount(predicted)
    both = (true > 0) & (predicted > 0)
    pair, overlap = np.unique(true[both] * predicted_area.size + predicted[both], return_counts=True)
    rows, columns = np.divmod(pair, predicted_area.size)
    return overlap / (true_area[rows] + predicted_area[columns] - overlap)


def _renumber(instances: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """Return the pixels with their instances numbered 1, 2, ... in the order of their ids, and how many there are."""
    flat = instances.ravel()
    if flat.max() > flat.size:  # a table of all numbers would be larger than the image
        flat = np.unique(flat, return_inverse=True)[1] + (flat.min() > 0)
    flat = flat.astype(np.intp)
    present = np.bincount(flat) > 0
    present[0] = False
    number = np.cumsum(present)
    return number[flat], int(number[-1])
