"""What is done to a slice between file and network: resizing, and the augmentation of TransUNet (Chen et al., 2021).

Resizing is scipy.ndimage.zoom, whose samples are aligned at the corners, as in the repositories that the papers used;
torch's and OpenCV's resizing differ from it.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeVar

import numpy as np
from scipy import ndimage

from magicseg.data.case import Image, Label

Size = tuple[int, int]
Slice = TypeVar("Slice", Image, Label)


def resize_image(image: Image, size: Size) -> Image:
    """Return an image [H, W] at ``size`` (height, width), by cubic splines; values may overshoot the input's range."""
    return _zoom(image, size, order=3)


def resize_label(label: Label, size: Size) -> Label:
    """Return a label map [H, W] at ``size`` (height, width), by nearest neighbour."""
    return _zoom(label, size, order=0)


def restore_label(label: Label, shape: Size) -> Label:
    """Return a predicted label map at the ``shape`` (height, width) of its original slice, by nearest neighbour."""
    return _zoom(label, shape, order=0)


def _zoom(array: Slice, size: Size, order: Literal[0, 3]) -> Slice:
    if array.shape == size:
        return array
    return ndimage.zoom(array, (size[0] / array.shape[0], size[1] / array.shape[1]), order=order)


def rotate_and_flip(array: Slice, turns: int, axis: int) -> Slice:
    """Return ``array`` [H, W] turned by ``turns`` times 90 degrees, then flipped along ``axis``."""
    turned: Slice = np.flip(np.rot90(array, turns), axis)
    return turned


def rotate(array: Slice, angle: int) -> Slice:
    """Return ``array`` [H, W] rotated by ``angle`` degrees about its centre by nearest neighbour; corners become 0."""
    rotated: Slice = ndimage.rotate(array, angle, order=0, reshape=False)
    return rotated


@cache
def commutes_with_resizing(shape: Size, size: Size) -> bool:
    """Tell whether ``rotate_and_flip`` of a slice of ``shape`` may as well be done after resizing it to ``size``.

    The size must be square and even: only then does no output pixel lie half-way between two labels, where nearest
    neighbour would round to another side after a flip. And for some pairs of sizes (232 to 224 is one) rounding makes
    scipy leave the last row or column 0, which then must stay the last one.
    """
    keeps_edges = resize_label(np.ones(shape, np.uint8), size).all()
    return size[0] == size[1] and size[0] % 2 == 0 and bool(keeps_edges)
