"""Class activation maps side by side: which part of a slice made a layer speak for a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from magicseg.reports.figures.outlines import draw_outline
from magicseg.reports.figures.pictures import Picture, picture_grid, show, stretched
from magicseg.reports.figures.style import STYLE, add_note
from magicseg.reports.overlays import paint

WIDTH = 1.7
"""Of a picture, in inches."""
TRUTH = "#ffffff"


class Activation(NamedTuple):
    """A row: a slice [H, W] or [H, W, 3], the class's true mask [H, W], and a map [H, W] from 0 to 1 for each run."""

    title: str
    image: Picture
    truth: Picture
    maps: Sequence[Picture]


@matplotlib.rc_context(STYLE)
def draw_activations(rows: Sequence[Activation], labels: Sequence[str], note: str) -> Figure:
    """Return a grid: the input, then each run's map over it; the true mask is outlined. A row for each class."""
    figure, axes = picture_grid([row.image for row in rows], ["input", *labels], WIDTH, below=0.02, around=0.35)
    for line, row in zip(axes, rows, strict=True):
        for axis in line:
            show(axis, paint(stretched(row.image), np.zeros_like(row.truth)))
        for axis, picture in zip(line[1:], row.maps, strict=True):
            heat = axis.imshow(picture, cmap="inferno", vmin=0, vmax=1, alpha=(1.5 * picture).clip(0, 0.85))
        for axis in line:
            draw_outline(axis, row.truth > 0, TRUTH)
        line[0].set_ylabel(row.title)
    bar = figure.colorbar(heat, ax=axes, shrink=0.6, aspect=30, ticks=[0, 1], label="activation")
    bar.outline.set_visible(False)
    add_note(figure, note)
    return figure
