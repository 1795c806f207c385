"""Where a label map is wrong, and the outlines of such regions along the edges of their pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

Mask = NDArray[np.bool_]


class Errors(NamedTuple):
    """Wrong pixels [H, W]: object where there is none, none where there is one, one object taken for another."""

    false_positive: Mask
    false_negative: Mask
    confused: Mask


def errors(prediction: NDArray[Any], truth: NDArray[Any]) -> Errors:
    """Compare two label maps [H, W]; every wrong pixel is in exactly one of the three masks."""
    wrong = prediction != truth
    return Errors(wrong & (truth == 0), wrong & (prediction == 0), wrong & (truth != 0) & (prediction != 0))


def thick(mask: Mask, pixels: int) -> Mask:
    """Return a mask [H, W] without what is thinner than so many pixels, such as the fringe of a boundary."""
    return np.asarray(binary_opening(mask, np.ones((pixels, pixels), bool)))


def outline(mask: Mask) -> NDArray[np.float64]:
    """Return the pixel edges between a mask [H, W] and the rest as line segments [N, 2, (x, y)], in pixels.

    Pixel (row, column) covers row +- 0.5 and column +- 0.5; the mask ends at the border of the picture.
    """
    padded = np.pad(mask, 1)
    y, x = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])  # between rows y - 1 and y
    horizontal = np.stack([np.stack([x - 0.5, y - 0.5], 1), np.stack([x + 0.5, y - 0.5], 1)], 1)
    y, x = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])  # between columns x - 1 and x
    vertical = np.stack([np.stack([x - 0.5, y - 0.5], 1), np.stack([x - 0.5, y + 0.5], 1)], 1)
    return np.concatenate([horizontal, vertical])


def draw_outline(axis: Axes, mask: Mask, colour: str, width: float = 0.6) -> None:
    """Draw the outline of a mask over a picture of the same size, ``width`` points wide."""
    lines = LineCollection(list(outline(mask)), colors=colour, linewidths=width, capstyle="projecting")
    lines.set_path_effects(halo(width))
    axis.add_collection(lines, autolim=False)


def halo(width: float = 1.0) -> list[AbstractPathEffect]:
    """Return what lies around an outline, so that white is seen on white and black on black."""
    return [Stroke(linewidth=2 * width, foreground="#80808080"), Normal()]
