"""From a binary mask to instances, for networks that predict no instances themselves.

Panoptic quality depends on this step more than on the network, so that every result has to name it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

METHODS = ("components_4", "components_8", "watershed")


def split_instances(mask: ArrayLike, method: str) -> NDArray[np.int32]:
    """Return the instance map of a mask by a method's name: components_4, components_8 or watershed.

    Applied to both the predicted and the true mask, it gives the "components of both sides" form of panoptic quality.

    Raises:
        ValueError: the method is unknown, or the mask is not [H, W] of whole numbers.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}. Allowed: {', '.join(METHODS)}.")
    return watershed(mask) if method == "watershed" else connected_components(mask, int(method[-1]))


def connected_components(mask: ArrayLike, connectivity: int = 4) -> NDArray[np.int32]:
    """Return the connected components of a mask [H, W], numbered 1, 2, ... in raster order.

    Args:
        mask: foreground is what is not 0.
        connectivity: 4 joins pixels that share an edge, 8 those that share a corner too.

    Raises:
        ValueError: the connectivity is neither, or the mask is not [H, W] of whole numbers.

    >>> connected_components([[1, 0], [0, 1]], 4).tolist(), connected_components([[1, 0], [0, 1]], 8).tolist()
    ([[1, 0], [0, 2]], [[1, 0], [0, 1]])
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity is {connectivity!r}. Allowed: 4, 8.")
    structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
    components, _ = ndimage.label(_mask(mask), structure)
    return components.astype(np.int32)


def watershed(mask: ArrayLike, min_distance: int = 4) -> NDArray[np.int32]:
    """Return the parts of a mask [H, W] that the watershed of its distance transform separates.

    Every pixel climbs to the highest of its eight neighbours until it reaches a peak of the (slightly smoothed)
    distance to the background; a peak with a higher one of its component in reach is part of that one.

    Args:
        mask: foreground is what is not 0.
        min_distance: pixels (along an axis) within which two peaks count as one.

    Raises:
        ValueError: min_distance is below 1, or the mask is not [H, W] of whole numbers.
    """
    if min_distance < 1:
        raise ValueError(f"min_distance is {min_distance}; it must be 1 pixel or more.")
    foreground = _mask(mask)
    rank, pixel_of_rank = _rank_by_depth(foreground)
    component = connected_components(foreground, 8).ravel()
    own = np.arange(rank.size)
    uphill = pixel_of_rank[ndimage.maximum_filter(rank, 3).ravel()]
    in_reach = pixel_of_rank[ndimage.maximum_filter(rank, 2 * min_distance + 1).ravel()]
    joins = (uphill == own) & (component[in_reach] == component)
    peak = np.where(joins, in_reach, uphill)
    while not np.array_equal(peak, peak[peak]):
        peak = peak[peak]
    return _number(peak.reshape(rank.shape), foreground)


def _rank_by_depth(foreground: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pixel's place in the order of depth, no two alike, and the inverse of this map."""
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(foreground), 1.0)
    pixel_of_rank = np.argsort(np.where(foreground, depth, -1.0).ravel(), kind="stable")
    rank = np.empty(pixel_of_rank.size, np.int64)
    rank[pixel_of_rank] = np.arange(rank.size)
    return rank.reshape(foreground.shape), pixel_of_rank


def _number(peak: NDArray[np.int64], foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    instances = np.zeros(foreground.shape, np.int32)
    instances[foreground] = np.unique(peak[foreground], return_inverse=True)[1] + 1
    return instances


def _mask(mask: ArrayLike) -> NDArray[np.bool_]:
    array: NDArray[Any] = np.asarray(mask)
    if array.ndim != 2 or array.dtype.kind not in "biu":
        raise ValueError(f"mask must be [H, W], bool or integer; found shape {array.shape} of {array.dtype}.")
    return array != 0
