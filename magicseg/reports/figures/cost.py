"""Accuracy against what it costs: a score over parameters and over multiply-adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from magicseg.errors import UserError, choose
from magicseg.reports.figures.shown import budget_note, group_names, grouped
from magicseg.reports.figures.style import GREY, MARKERS, STYLE, add_note, line_colours, new_figure
from magicseg.reports.paper_tables import METRICS
from magicseg.reports.results import Result
from magicseg.reports.settings import Group

SCORES = {
    "dice": "Dice (%)",
    "iou": "IoU (%)",
    "accuracy": "accuracy (%)",
    "pq": "PQ (%)",
    "hd95": "HD95",
    "asd": "ASD",
}


class Point(NamedTuple):
    """A group of runs: mean and sample standard deviation of its seeds, millions of parameters, giga multiply-adds."""

    group: Group
    mean: float
    std: float
    parameters: float
    macs: float


@matplotlib.rc_context(STYLE)
def draw_cost(
    runs: Sequence[Result], macs: Callable[[Result], int], metric: str = "dice", protocol: str = "paper"
) -> Figure:
    """Return the mean score of the runs of one data set over their parameters and multiply-adds.

    Args:
        runs: of one data set.
        macs: returns the multiply-adds of a run for one image.
        metric: which score, the mean over classes.
        protocol: role or name of the protocol that the runs were scored under.

    Raises:
        UserError: an unknown metric or protocol, or a run without this score.
    """
    choose("metric", metric, SCORES)
    groups, notes = grouped(runs, protocol)
    points = [_point(group, macs, metric, protocol) for group in groups]
    colours = line_colours(group.key.conv for group in groups)
    markers = dict(zip(sorted({group.key.backbone for group in groups}), MARKERS * len(groups), strict=False))
    figure = new_figure(6.6, 3.0)
    left, right = figure.subplots(1, 2, sharey=True)
    for point in points:
        key = point.group.key
        for axis, x in ((left, point.parameters), (right, point.macs)):
            _draw(axis, x, point, colours[key.conv], markers[key.backbone])
    unit = "" if METRICS[metric].unit == "percent" else f" ({runs[0].under(protocol).unit})"
    left.set(xlabel="parameters (millions)", ylabel=f"{SCORES[metric]}{unit}")
    right.set(xlabel="multiply-adds per image (G)")
    left.set_xlim(0, 1.12 * max(point.parameters for point in points))
    right.set_xlim(0, 1.12 * max(point.macs for point in points))
    left.margins(y=0.12)
    _add_legend(figure, points, colours, markers)
    add_note(figure, _note(points, protocol, notes))
    return figure


def _point(group: Group, macs: Callable[[Result], int], metric: str, protocol: str) -> Point:
    values: dict[int, list[float]] = defaultdict(list)
    for run in group.runs:
        value = run.value(protocol, metric, "mean")
        if value is None:
            raise UserError(f"{run.path} has no {metric} under protocol {protocol}.")
        values[run.seed].append(value)
    seeds = [fmean(folds) for folds in values.values()]
    first = group.runs[0]
    spread = stdev(seeds) if len(seeds) > 1 else 0.0
    return Point(group, fmean(seeds), spread, first.parameters / 1e6, macs(first) / 1e9)


def _draw(axis: Axes, x: float, point: Point, colour: str, marker: str) -> None:
    error = point.std or None
    axis.errorbar(
        x, point.mean, error, fmt=marker, color=colour, markersize=6, markeredgecolor="white", capsize=2.5, elinewidth=1
    )
    if point.group.mark:
        axis.annotate(
            f"[{point.group.mark}]", (x, point.mean), (5, 4), textcoords="offset points", fontsize=6, color=GREY
        )


def _add_legend(figure: Figure, points: Sequence[Point], colours: dict[str, str], markers: dict[str, str]) -> None:
    """Name convolutions by colour, and backbones by markers where there are several."""
    shape = markers[points[0].group.key.backbone] if len(markers) == 1 else "o"
    convs = dict.fromkeys(point.group.key.conv for point in points)
    handles = [Line2D([], [], linestyle="", marker=shape, color=colours[conv], label=conv) for conv in convs]
    if len(markers) > 1:
        handles += [Line2D([], [], linestyle="", marker=each, color=GREY, label=name) for name, each in markers.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))


def _note(points: Sequence[Point], protocol: str, notes: Sequence[str]) -> str:
    groups = [point.group for point in points]
    runs = [group.runs[0] for group in groups]
    seeds = sorted({len(group.seeds) for group in groups})
    counts = "–".join(str(number) for number in dict.fromkeys((seeds[0], seeds[-1])))
    scored = runs[0].under(protocol).protocol.name
    bars = " Bars: standard deviation over seeds." if seeds[-1] > 1 else ""
    text = f"{runs[0].key.dataset}, protocol {scored}, mean of {counts} seed{'s' * (seeds[-1] > 1)}.{bars}"
    return " ".join(part for part in (text, budget_note(runs, group_names(groups)), *notes) if part)
