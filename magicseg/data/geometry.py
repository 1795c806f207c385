"""Moving a slice: turns, flips, rotation, and shift with scale and rotation. Works on images and labels alike."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch.nn.functional import grid_sample

from magicseg.data.resizing import Indices, Size


def rotate_and_flip(array: NDArray[Any], turns: int, axis: int) -> NDArray[Any]:
    """Return ``array`` [H, W] or [H, W, C] turned by ``turns`` times 90 degrees, then flipped along ``axis``."""
    return np.flip(np.rot90(array, turns), axis)


def rotate(array: NDArray[Any], angle: int) -> NDArray[Any]:
    """Return ``array`` [H, W] or [H, W, C] rotated by ``angle`` degrees about its centre by nearest neighbour.

    Corners become 0. Equal to scipy.ndimage.rotate with order=0 and reshape=False.
    """
    source, outside = _rotation((array.shape[0], array.shape[1]), angle)
    rotated = array.reshape(-1, *array.shape[2:]).take(source, axis=0)
    rotated[outside] = 0
    return rotated.reshape(array.shape)


@lru_cache(maxsize=1)  # the label follows its image
def _rotation(shape: Size, angle: int) -> tuple[Indices, Indices]:
    """Return the source of each pixel and the pixels without one, as indices into the flattened slice."""
    (height, width), (cos, sin) = shape, (special.cosdg(angle), special.sindg(angle))
    matrix, centre = np.array([[cos, sin], [-sin, cos]]), (np.array(shape) - 1) / 2
    offset = centre - matrix @ centre
    rows, columns = np.arange(height)[:, None], np.arange(width)
    y, x = cos * rows + sin * columns, -sin * rows + cos * columns
    y += offset[0]
    x += offset[1]
    outside = np.flatnonzero((y < 0) | (y > height - 1) | (x < 0) | (x > width - 1))
    y += 0.5
    x += 0.5
    source = y.astype(np.intp)
    source *= width
    source += x.astype(np.intp)
    source.flat[outside] = 0
    return source.ravel(), outside


def shift_scale_rotate(
    array: NDArray[Any], shift: tuple[float, float], scale: float, angle: float, mode: str
) -> NDArray[Any]:
    """Return ``array`` [H, W] or [H, W, C] scaled and rotated about its centre, then shifted; what enters is 0.

    ``shift``: down and to the right, as shares of height and width. ``angle``: degrees, counter-clockwise. ``mode``:
    "bilinear" or "nearest". Integers are computed as float32 and keep their type only with "nearest".
    """
    height, width = array.shape[:2]
    grid = torch.from_numpy(_grid((height, width), shift, scale, angle))
    channels = torch.from_numpy(array.reshape(height, width, -1).transpose(2, 0, 1).astype(np.float32))
    moved = grid_sample(channels[None], grid[None], mode, padding_mode="zeros", align_corners=False)[0]
    dtype = array.dtype if mode == "nearest" else np.float32
    return moved.numpy().transpose(1, 2, 0).reshape(array.shape).astype(dtype)


def _grid(shape: Size, shift: tuple[float, float], scale: float, angle: float) -> NDArray[np.float32]:
    """Return where each pixel comes from, (x, y) in [-1, 1] from edge to edge: [H, W, 2]."""
    (height, width), (cos, sin) = shape, (special.cosdg(angle), special.sindg(angle))
    down = (np.arange(height) - (height - 1) / 2 - shift[0] * height)[:, None] / scale
    right = (np.arange(width) - (width - 1) / 2 - shift[1] * width) / scale
    x, y = cos * right - sin * down, sin * right + cos * down
    return np.stack([2 * x / width, 2 * y / height], axis=-1).astype(np.float32)
