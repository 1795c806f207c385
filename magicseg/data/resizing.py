"""Resizing a slice, axis by axis: every method is one small operator per axis, made once for each pair of lengths.

"spline" is scipy.ndimage.zoom: cubic for images, nearest neighbour for labels, samples aligned at the corners, as in
TransUNet (Chen et al., 2021) and its successors. Its quirk is kept: for some lengths (232 to 224 is one) rounding makes
it leave the last row or column 0. "bilinear" is the rule of OpenCV and of torch with align_corners=False: half-pixel
centres and no smoothing before making smaller.

The sums run in the same order whatever the number of threads, so that every worker computes the same bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

METHODS = ("spline", "bilinear")
NEGLIGIBLE = 1e-8  # of a sample's weight; a cubic spline reaches over the whole axis, ever more faintly

Size = tuple[int, int]
Indices = NDArray[np.intp]


def resize_linear(array: NDArray[Any], size: Size, method: str) -> NDArray[np.float32]:
    """Return ``array`` [H, W] or [H, W, C] at ``size`` (height, width), interpolated; splines may overshoot.

    Values up to 1 differ from scipy's and torch's by less than 1e-6, as the sums are of float32.
    """
    (n_rows, n_columns), (height, width) = array.shape[:2], size
    array = np.asarray(array, np.float32)
    rows = (weights(method, n_rows, height) @ array.reshape(n_rows, -1)).reshape(height, n_columns, -1)
    columns = np.ascontiguousarray(rows.swapaxes(0, 1)).reshape(n_columns, -1)
    resized = (weights(method, n_columns, width) @ columns).reshape(width, height, *array.shape[2:])
    return resized.swapaxes(0, 1)


def resize_nearest(array: NDArray[Any], size: Size, method: str) -> NDArray[Any]:
    """Return ``array`` [H, W] at ``size`` (height, width), each pixel a copy of its nearest one, or 0 where none is."""
    rows, columns = (nearest(method, n, m) for n, m in zip(array.shape, size, strict=True))
    resized = array.take(rows, axis=0).take(columns, axis=1)
    resized[rows < 0] = 0
    resized[:, columns < 0] = 0
    return resized


@lru_cache(maxsize=512)
def weights(method: str, n: int, m: int) -> sparse.csr_array:
    """Return the operator [m, n] that interpolates ``m`` samples from ``n``."""
    if method == "bilinear":
        return _bilinear(n, m)
    dense = ndimage.zoom(np.eye(n), (m / n, 1), order=3)
    return sparse.csr_array(np.where(np.abs(dense) < NEGLIGIBLE, 0, dense)).astype(np.float32)


@lru_cache(maxsize=512)
def nearest(method: str, n: int, m: int) -> Indices:
    """Return which of ``n`` samples is nearest to each of ``m`` [m]; -1 where none is."""
    if method == "bilinear":
        return (2 * np.arange(m) + 1) * n // (2 * m)
    return ndimage.zoom(np.arange(1.0, n + 1), m / n, order=0).astype(np.intp) - 1


def _bilinear(n: int, m: int) -> sparse.csr_array:
    position = np.maximum((np.arange(m) + 0.5) * n / m - 0.5, 0)
    left = position.astype(np.intp)
    right = np.minimum(left + 1, n - 1)
    share = position - left
    entries = np.concatenate([1 - share, share]), (np.tile(np.arange(m), 2), np.concatenate([left, right]))
    return sparse.csr_array(entries, shape=(m, n)).astype(np.float32)
