"""Training curves over seeds: the mean as a line, the range from the lowest to the highest seed as a band."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from magicseg.errors import UserError
from magicseg.reports.figures.shown import budget_note, group_names, grouped
from magicseg.reports.figures.style import DASHES, GREY, STYLE, add_note, line_colours, new_figure
from magicseg.reports.results import Result
from magicseg.reports.settings import Group
from magicseg.runs import RunFolder

PANELS = {"loss": "training loss", "dice": "validation Dice (%)"}


class Curve(NamedTuple):
    """A column of curves.csv over the epochs, [epochs]: mean, lowest and highest of the runs of a group."""

    epochs: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@matplotlib.rc_context(STYLE)
def draw_curves(runs: Sequence[Result]) -> Figure:
    """Return the training loss and the validation Dice of the runs of one data set over the epochs.

    A colour is a convolution, a dash pattern a backbone and, where settings differ, their letter. Runs without
    validation cases have no curve of the Dice.

    Raises:
        UserError: a run's curves.csv is missing or damaged, or the seeds of a row were not trained alike.
    """
    groups, notes = grouped(runs)
    colours = line_colours(group.key.conv for group in groups)
    dashes = dict(zip(sorted({_dashed(group) for group in groups}), DASHES * len(groups), strict=False))
    figure = new_figure(6.6, 2.7)
    for axis, column in zip(figure.subplots(1, 2), PANELS, strict=True):
        for group in groups:
            curve = _curve(group, column)
            if curve is not None:
                _draw(axis, curve, colours[group.key.conv], dashes[_dashed(group)])
        _label(axis, column)
    _add_legend(figure, groups, colours, dashes)
    numbers = sorted({len(group.runs) for group in groups})
    counts = "–".join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))
    text = f"{runs[0].key.dataset}. Line: mean of {counts} run{'s' * (numbers[-1] > 1)}; band: lowest to highest run."
    add_note(figure, " ".join([text, budget_note([group.runs[0] for group in groups], group_names(groups)), *notes]))
    return figure


def _dashed(group: Group) -> tuple[str, str]:
    """Return what a dash pattern stands for."""
    return group.key.backbone, group.mark


def _curve(group: Group, column: str) -> Curve | None:
    columns = [read_curve(RunFolder(run.path.parent).curves, column) for run in group.runs]
    if any(each is None for each in columns):
        return None
    pairs = [each for each in columns if each is not None]
    epochs = pairs[0][0]
    if any(not np.array_equal(each, epochs) for each, _ in pairs):
        raise UserError(f"The runs of {group} were not trained for the same epochs: {_folders(group)}.")
    values = np.stack([each for _, each in pairs]) * (100 if column == "dice" else 1)
    return Curve(epochs, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def read_curve(path: Path, column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the epochs and the values of a column of curves.csv, or None where there is no such column.

    Raises:
        UserError: the file is missing, damaged or empty.
    """
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, restval="", strict=True))
        if column != "loss" and rows and column not in rows[0]:
            return None
        numbers = np.array([(row["epoch"], row[column]) for row in rows], dtype=float)
        epochs, values = numbers.T
    except (OSError, csv.Error, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read as the curves of a run ({error!r}).") from error
    return epochs, values


def _folders(group: Group) -> str:
    return ", ".join(str(run.path.parent) for run in group.runs)


def _draw(axis: Axes, curve: Curve, colour: str, dash: Any) -> None:
    axis.fill_between(curve.epochs, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    axis.plot(curve.epochs, curve.mean, color=colour, linestyle=dash, marker="o" if len(curve.epochs) == 1 else "")


def _label(axis: Axes, column: str) -> None:
    axis.set(xlabel="epoch", ylabel=PANELS[column])
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(x=0.02)
    if column == "loss":  # late epochs differ by little
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
    if not axis.lines:
        axis.text(0.5, 0.5, "no validation cases", transform=axis.transAxes, ha="center")


def _add_legend(
    figure: Figure, groups: Sequence[Group], colours: dict[str, str], dashes: dict[tuple[str, str], Any]
) -> None:
    """Name convolutions by colour; by dashes backbones where there are several, and settings that have a letter."""
    several = len({backbone for backbone, _ in dashes}) > 1
    convs = dict.fromkeys(group.key.conv for group in groups)
    lines = [Line2D([], [], color=colours[conv], label=conv) for conv in convs]
    for (backbone, mark), dash in dashes.items():
        name = " ".join([*([backbone] if several else []), *([f"[{mark}]"] if mark else [])])
        lines += [Line2D([], [], color=GREY, linestyle=dash, label=name)] if name else []
    figure.legend(handles=lines, loc="outside upper center", ncols=min(len(lines), 6), handlelength=3)
