"""Distances between the borders of two masks, with the values of medpy 0.5.2 at a small part of its time.

A mask's border is its voxels with a face neighbour outside the mask; what lies beyond the image is outside. All border
voxels of both masks lie in their joint bounding box, so nothing else is looked at. A border voxel that is on the other
border too has distance 0; for the others the neighbourhood is looked up, nearest voxels first, and a k-d tree finds
what lies farther off. Each distance is computed from the two indices in float64, axis by axis, as SciPy's distance
transform (and so medpy) does. In voxel units, and with spacings whose squares add up without rounding (1.5, 0.78125),
every distance is bit-identical to medpy's. With others (0.7, 0.7) two voxels can be equally near but for the rounding
of the sum; medpy may take the one and this module the other, and a distance may differ by some 4e-16 of its value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree

from magicseg.metrics.checks import label_pair, mask_pair, positive_spacing

Box = tuple[slice, ...]

_REACH = 3  # voxels along the finest axis: how far the neighbourhood of a voxel is looked up


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances from every border voxel of one mask to the nearest border voxel of the other.

    Two arrays in raster order, float64, in the unit of the spacing: ``to_truth`` from the prediction's border to the
    truth's, ``to_prediction`` the other way round. Both hold at least one value.
    """

    to_truth: NDArray[np.float64]
    to_prediction: NDArray[np.float64]

    @property
    def hd(self) -> float:
        """Hausdorff distance: the largest distance of both directions."""
        return float(max(self.to_truth.max(), self.to_prediction.max()))

    @property
    def hd95(self) -> float:
        """95th percentile (linear) of both directions pooled: HD95 of medpy, and so of TransUNet and its successors."""
        return float(np.percentile(self._pooled(), 95))

    @property
    def hd95_max(self) -> float:
        """The larger one of the two directions' 95th percentiles: HD95 of MONAI and MetricsReloaded."""
        return float(max(np.percentile(self.to_truth, 95), np.percentile(self.to_prediction, 95)))

    @property
    def asd(self) -> float:
        """Mean distance from the prediction to the truth: asd of medpy and MONAI."""
        return float(self.to_truth.mean())

    @property
    def asd_reversed(self) -> float:
        """Mean distance from the truth to the prediction."""
        return float(self.to_prediction.mean())

    @property
    def assd(self) -> float:
        """Mean distance of both directions pooled: assd of medpy since 0.5.2."""
        return float(self._pooled().mean())

    @property
    def assd_mean(self) -> float:
        """Mean of the two directions' means: assd of medpy before 0.5.2, masd of MetricsReloaded."""
        return (self.asd + self.asd_reversed) / 2

    def nsd(self, tolerance: float) -> float:
        """Return the normalised surface distance: the part (0 to 1) of both borders within ``tolerance`` of the other.

        Every border voxel counts alike (the definition of Nikolov et al. weighs them by area).

        Raises:
            ValueError: the tolerance is negative or nan.
        """
        if not tolerance >= 0:
            raise ValueError(f"tolerance must be 0 or more; found {tolerance}.")
        return float(np.mean(self._pooled() <= tolerance))

    def _pooled(self) -> NDArray[np.float64]:
        return np.concatenate((self.to_truth, self.to_prediction))


@dataclass(frozen=True, eq=False)
class Borders:
    """The border voxels of two non-empty masks, as ascending flat indices into ``shape``.

    ``shape`` is their joint bounding box with a margin on every side, which keeps the neighbours of a voxel inside.
    """

    prediction: NDArray[np.intp]
    truth: NDArray[np.intp]
    shape: tuple[int, ...]

    def distances(self, spacing: Sequence[float] | None = None) -> SurfaceDistances:
        """Return the distances between both borders; ``spacing`` as in surface_distances."""
        ndim = len(self.shape)
        scale = positive_spacing((1.0,) * ndim if spacing is None else spacing, ndim)
        return SurfaceDistances(
            _directed(self.prediction, self.truth, self.shape, scale),
            _directed(self.truth, self.prediction, self.shape, scale),
        )


def surface_distances(
    prediction: ArrayLike, truth: ArrayLike, spacing: Sequence[float] | None = None
) -> SurfaceDistances:
    """Return the distances between the borders of two masks.

    Args:
        prediction, truth: bool or integer arrays of equal shape, any number of axes; foreground is what is not 0.
        spacing: mm of a voxel along each axis, in the order of the axes; None measures in voxels.

    Raises:
        ValueError: shapes differ, values are not whole numbers, a mask is empty, or the spacing is no positive number
            an axis.

    >>> found = surface_distances([[1, 1, 0, 0, 0]], [[1, 1, 1, 1, 0]])
    >>> found.to_truth.tolist(), found.to_prediction.tolist(), found.hd, found.assd
    ([0.0, 0.0], [0.0, 0.0, 1.0, 2.0], 2.0, 0.5)
    """
    masks = mask_pair(prediction, truth)
    (borders,) = borders_per_class(*masks, n_classes=1)
    if borders is None:
        side = "truth" if masks[0].any() else "prediction"
        raise ValueError(f"{side} is empty; a distance between surfaces needs foreground in both masks.")
    return borders.distances(spacing)


def borders_per_class(prediction: ArrayLike, truth: ArrayLike, n_classes: int) -> list[Borders | None]:
    """Return the borders of the classes 1 to ``n_classes``, None for a class that one of the label maps lacks.

    Each label map is searched once for the bounding boxes of all classes; the rest happens in these boxes.

    Raises:
        ValueError: shapes differ, values are not whole numbers, or a label is out of range.
    """
    prediction, truth = label_pair(prediction, truth, n_classes)
    foreground = _foreground(prediction, truth)  # find_objects is slow per voxel, also in the background
    prediction, truth = prediction[foreground], truth[foreground]
    boxes = zip(find_objects(prediction, n_classes), find_objects(truth, n_classes), strict=True)
    found: list[Borders | None] = []
    for label, (box_p, box_t) in enumerate(boxes, start=1):
        if box_p is None or box_t is None:
            found.append(None)
            continue
        start = tuple(min(p.start, t.start) - _REACH for p, t in zip(box_p, box_t, strict=True))
        stop = tuple(max(p.stop, t.stop) + _REACH for p, t in zip(box_p, box_t, strict=True))
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        borders = _border(prediction, label, box_p, start, shape), _border(truth, label, box_t, start, shape)
        found.append(Borders(*borders, shape))
    return found


def _foreground(prediction: NDArray[Any], truth: NDArray[Any]) -> Box:
    """Return the smallest box outside of which both label maps are background."""
    box: Box = ()
    for axis in range(truth.ndim):
        others = tuple(other for other in range(truth.ndim) if other != axis)
        used = np.flatnonzero(prediction.any(others) | truth.any(others))
        box += (slice(used[0], used[-1] + 1) if used.size else slice(0, 0),)
    return box


def _border(
    labels: NDArray[Any], label: int, box: Box, start: Sequence[int], shape: tuple[int, ...]
) -> NDArray[np.intp]:
    """Return the border voxels of a class, which lie in ``box``, as flat indices into ``shape``, set at ``start``."""
    mask = labels[box] == label
    border = mask.copy()  # first the inner voxels
    for axis in range(mask.ndim):
        of_mask, of_inner = np.moveaxis(mask, axis, 0), np.moveaxis(border, axis, 0)
        of_inner[1:] &= of_mask[:-1]
        of_inner[:-1] &= of_mask[1:]
        of_inner[[0, -1]] = False
    border ^= mask
    voxels = np.unravel_index(np.flatnonzero(border), border.shape)
    placed = tuple(index + own.start - at for index, own, at in zip(voxels, box, start, strict=True))
    return np.ravel_multi_index(placed, shape)


def _directed(
    source: NDArray[np.intp], target: NDArray[np.intp], shape: tuple[int, ...], scale: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return the distance from each voxel of ``source`` to the nearest of ``target``, both flat indices."""
    is_target = np.zeros(math.prod(shape), bool)
    is_target[target] = True
    distances = np.zeros(source.size)
    away = np.flatnonzero(~is_target[source])
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    for length, offsets in _shells(scale):
        near = is_target[source[away, None] + offsets @ strides].any(axis=1)
        distances[away[near]] = length
        away = away[~near]
    if away.size:
        distances[away] = _tree_search(source[away], target, shape, scale)
    return distances


@lru_cache(maxsize=16)
def _shells(scale: tuple[float, ...]) -> list[tuple[float, NDArray[np.intp]]]:
    """Return the offsets `[N, axes]` of the voxels in reach, put together by their lengths, the shortest first."""
    ndim = len(scale)
    offsets = np.indices((2 * _REACH + 1,) * ndim).reshape(ndim, -1).T - _REACH
    lengths = _lengths(offsets, scale)
    in_reach = np.unique(lengths[(lengths > 0) & (lengths <= _REACH * min(scale))])
    return [(float(length), offsets[lengths == length]) for length in in_reach]


def _tree_search(
    source: NDArray[np.intp], target: NDArray[np.intp], shape: tuple[int, ...], scale: tuple[float, ...]
) -> NDArray[np.float64]:
    points, targets = (np.stack(np.unravel_index(flat, shape), 1) for flat in (source, target))
    tree = cKDTree(targets * scale, leafsize=32, balanced_tree=False, compact_nodes=False)
    return _lengths(points - targets[tree.query(points * scale)[1]], scale)


def _lengths(offsets: NDArray[np.intp], scale: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the lengths of ``offsets`` `[N, axes]`, in voxels, in the unit of the scale."""
    squares = (offsets * scale) ** 2
    return np.sqrt(sum(squares.T))
