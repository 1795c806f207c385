"""The same cases segmented by several runs, side by side, with what each run got wrong outlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from magicseg.reports.figures.outlines import draw_outline, errors, halo, thick
from magicseg.reports.figures.pictures import Picture, picture_grid, show, stretched
from magicseg.reports.figures.style import GREY, STYLE, add_note
from magicseg.reports.overlays import COLOURS, paint

OUTLINES = {"false positive": "#e6003e", "false negative": "#ffffff", "wrong class": "#111111"}
"""In the order of ``Errors``."""
WIDTH = 1.25
"""Of a picture, in inches."""
THICK = 0.03
"""Errors that are thinner than this share of the shorter side are not outlined: every boundary has a fringe of them."""


class Panel(NamedTuple):
    """A run's prediction [H, W] for a slice, and what stands below it."""

    prediction: Picture
    caption: str


class Example(NamedTuple):
    """A row: a slice [H, W] or [H, W, 3] with its truth, the runs' predictions, and further maps [H, W] from 0 to 1."""

    title: str
    image: Picture
    truth: Picture
    panels: Sequence[Panel]
    maps: Mapping[str, Picture]


@matplotlib.rc_context(STYLE)
def draw_qualitative(examples: Sequence[Example], labels: Sequence[str], classes: Sequence[str], note: str) -> Figure:
    """Return a grid: input, ground truth, a column for each run, a column for each map; a row for each example.

    Args:
        examples: the rows; all have the same maps.
        labels: names of the runs.
        classes: names of the labels 1, 2, ...
        note: a sentence below the figure.
    """
    headings = ["input", "ground truth", *labels, *examples[0].maps]
    figure, axes = picture_grid([example.image for example in examples], headings, WIDTH, below=0.13, around=0.6)
    for row, example in zip(axes, examples, strict=True):
        _draw_example(row, example)
    handles = _legend(classes)
    columns = min(6, len(handles))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=1.4, borderpad=0.9)
    scale = " Maps: 0 is black, 1 pale yellow." if examples[0].maps else ""
    add_note(figure, f"{note} Outlined: errors at least {THICK:.0%} of the picture thick.{scale}")
    return figure


def _draw_example(axes: Sequence[Axes], example: Example) -> None:
    first_map = 2 + len(example.panels)
    image = stretched(example.image)
    axes[0].set_ylabel(example.title, fontsize=6.5, color=GREY)
    show(axes[0], paint(image, np.zeros_like(example.truth)))
    show(axes[1], paint(image, example.truth))
    for axis, panel in zip(axes[2:first_map], example.panels, strict=True):
        draw_prediction(axis, image, example.truth, panel.prediction)
        axis.set_xlabel(panel.caption, fontsize=7, labelpad=2)
    for axis, picture in zip(axes[first_map:], example.maps.values(), strict=True):
        show(axis, picture, cmap="magma", vmin=0, vmax=1)


def draw_prediction(axis: Axes, image: Picture, truth: Picture, prediction: Picture) -> None:
    """Draw a prediction over its slice; outlines surround what is wrong and not just a fringe."""
    show(axis, paint(image, prediction))
    pixels = max(2, round(THICK * min(truth.shape)))
    for mask, colour in zip(errors(prediction, truth), OUTLINES.values(), strict=True):
        draw_outline(axis, thick(mask, pixels), colour)


def _legend(classes: Sequence[str]) -> list[Patch]:
    """Return what explains the colours of classes and outlines; a single class cannot be taken for another."""
    fills = [Patch(color=COLOURS[index % len(COLOURS)], label=name) for index, name in enumerate(classes)]
    drawn = list(OUTLINES.items())[: 3 if len(classes) > 1 else 2]
    return [
        *fills,
        *(Patch(facecolor="#b0b0b0", edgecolor=colour, label=name, path_effects=halo()) for name, colour in drawn),
    ]
