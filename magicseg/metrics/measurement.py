"""Measure a case once: counts and borders of each class, from which any protocol takes its scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from magicseg.metrics.checks import positive_spacing
from magicseg.metrics.instances import split_instances
from magicseg.metrics.overlap import Counts, count
from magicseg.metrics.panoptic import PanopticQuality, panoptic_quality
from magicseg.metrics.surface import Borders, SurfaceDistances, borders_per_class


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one class of one case measures, before any protocol; what costs time is computed when asked for.

    ``borders`` is None where a mask is empty; ``spacing`` is in mm, None if unknown; ``label`` is the number of the
    class in the label maps ``prediction`` and ``truth``; ``instances`` the true instance map if there is one.
    """

    name: str
    counts: Counts
    borders: Borders | None
    spacing: tuple[float, ...] | None
    label: int
    prediction: NDArray[Any]
    truth: NDArray[Any]
    instances: NDArray[Any] | None = None

    @cached_property
    def voxel(self) -> SurfaceDistances | None:
        """Distances in voxels."""
        return None if self.borders is None else self.borders.distances()

    @cached_property
    def mm(self) -> SurfaceDistances | None:
        """Distances in mm, in voxels if the spacing is unknown."""
        if self.borders is None or self.spacing is None:
            return self.voxel
        return self.borders.distances(self.spacing)

    @property
    def state(self) -> str:
        """One of "scored", "absent" (in neither mask), "missed" (truth only), "hallucinated" (prediction only)."""
        predicted, true = self.counts.tp + self.counts.fp > 0, self.counts.tp + self.counts.fn > 0
        if predicted:
            return "scored" if true else "hallucinated"
        return "missed" if true else "absent"

    def panoptic(self, method: str, given: bool = False) -> PanopticQuality:
        """Return the panoptic quality of the instances that ``method`` finds in the prediction; see split_instances.

        The true instances are found in the same way, or, if ``given``, are those of the data set.

        Raises:
            ValueError: the case is no image [H, W], the method is unknown, or no instances were given.
        """
        prediction, truth = self.prediction == self.label, self.truth == self.label
        if not given:
            return panoptic_quality(split_instances(prediction, method), split_instances(truth, method))
        if self.instances is None:
            raise ValueError("the protocol asks for the data set's instances (true_instances: given); it has none.")
        return panoptic_quality(split_instances(prediction, method), np.where(truth, self.instances, 0))

    def diagonal(self, unit: str) -> float:
        """Return the largest distance that two voxels of the image can have, in "voxel" or "mm"."""
        size = self.spacing if unit == "mm" and self.spacing else (1.0,) * self.truth.ndim
        return math.hypot(*((n - 1) * step for n, step in zip(self.truth.shape, size, strict=True)))


def measure_case(
    prediction: ArrayLike,
    truth: ArrayLike,
    classes: Sequence[str],
    spacing: Sequence[float] | None = None,
    instances: ArrayLike | None = None,
) -> list[Measurement]:
    """Return what can be measured of each class, to be scored under one protocol or several.

    Args:
        prediction, truth: integer label maps of equal shape; label k + 1 is ``classes[k]``, 0 the background.
        classes: names of the classes.
        spacing: mm of a voxel along each axis, None if unknown.
        instances: the true instance map, 0 where there is none; None if the data has no instances.

    Raises:
        ValueError: no classes or one named twice, shapes differ, values are not whole numbers, a label is out of
            range, or the spacing is no positive number an axis.
    """
    if not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes is {list(classes)}; name each of the labels 1, 2, ... once, in this order.")
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    counts, borders = count(prediction, truth, len(classes)), borders_per_class(prediction, truth, len(classes))
    millimetres = None if spacing is None else positive_spacing(spacing, truth.ndim)
    given = None if instances is None else np.asarray(instances)
    if given is not None and given.shape != truth.shape:
        raise ValueError(f"instances has the shape {given.shape}, the truth {truth.shape}; they must be equal.")
    return [
        Measurement(*found, millimetres, label, prediction, truth, given)
        for label, found in enumerate(zip(classes, counts, borders, strict=True), start=1)
    ]
