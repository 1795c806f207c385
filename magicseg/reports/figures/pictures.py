"""Grids of pictures: close together, of one width, with pixels as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from magicseg.reports.figures.style import new_figure

Picture = NDArray[Any]
Window = tuple[slice, slice]
GAP = 0.015
"""Between two pictures, in inches."""


def picture_grid(
    pictures: Sequence[Picture], headings: Sequence[str], width: float, below: float, around: float
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes [rows, columns], a row for pictures of each shape.

    Args:
        pictures: one of each row.
        headings: of the columns.
        width: of a picture, in inches.
        below: room for a caption below each row, in inches.
        around: room for legend, headings and note, in inches.
    """
    heights = [picture.shape[0] / picture.shape[1] for picture in pictures]
    figure = new_figure(width * len(headings) + 0.4, sum(width * height + below for height in heights) + around)
    figure.set_layout_engine(ConstrainedLayoutEngine(compress=True, w_pad=GAP, h_pad=GAP, wspace=0.01, hspace=0.01))
    axes = figure.subplots(len(pictures), len(headings), squeeze=False, gridspec_kw={"height_ratios": heights})
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading, pad=3)
    return figure, axes


def show(axis: Axes, picture: Picture, **options: Any) -> None:
    """Draw a picture with its pixels as they are, in a pdf too."""
    axis.imshow(picture, interpolation="none", **options)


def stretched(image: Picture) -> Picture:
    """Return a grey slice [H, W] with its intensities stretched from 0 to 1, but for half a percent at either end.

    Colours [H, W, 3] stay as they are.
    """
    if image.ndim == 3:
        return image
    low, high = np.percentile(image, [0.5, 99.5])
    return ((image - low) / max(high - low, 1e-6)).clip(0, 1).astype(np.float32)


def window(*labels: Picture, margin: float = 0.15) -> Window:
    """Return the smallest square around all objects of some label maps [H, W], with a margin on each side.

    The margin is a share of the square's side. Everything where there is no object or the square would not fit.
    """
    inside = np.any([label > 0 for label in labels], axis=0)
    if not inside.any():
        return slice(None), slice(None)
    spans = [np.flatnonzero(inside.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    side = int((1 + 2 * margin) * max(last - first + 1 for first, last in spans)) + 2
    if side > min(inside.shape):
        return slice(None), slice(None)
    top, left = (
        int(np.clip((first + last + 1 - side) // 2, 0, size - side))
        for (first, last), size in zip(spans, inside.shape, strict=True)
    )
    return slice(top, top + side), slice(left, left + side)
