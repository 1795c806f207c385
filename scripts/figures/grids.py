"""From finished runs to the rows of a qualitative grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from figures.opened import OpenedRun, Volume
from figures.slices import Slice
from magicseg.errors import UserError
from magicseg.metrics import count, dice
from magicseg.reports.cases import case_scores
from magicseg.reports.figures.pictures import window
from magicseg.reports.figures.qualitative import Example, Panel
from magicseg.reports.figures.structure import resized, structure_maps
from magicseg.reports.paper_tables import Column
from magicseg.reports.results import Result


def chosen_slices(run: Result, cases: str, number: int, protocol: str) -> list[tuple[str, Slice]]:
    """Return (rank, slice) for cases that are named, with no rank, or evenly from the run's best to its worst.

    Raises:
        UserError: ``number`` is not positive, no case has a score, or what is named is no slice.
    """
    if cases:
        return [("", Slice.parse(text)) for text in cases.split(",")]
    if number < 1:
        raise UserError(f"count is {number}; it must be at least 1.")
    scores = {name: score for name, score in dice_of_cases(run, protocol).items() if score is not None}
    if not scores:
        raise UserError(f"{run.path.parent} has no case with a Dice under protocol {protocol}. Name cases=...")
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    last = len(ranked) - 1
    places = [int(place + 0.5) for place in np.linspace(0, last, min(number, len(ranked)))]
    names = {len(ranked) // 2: "median", last: "worst", 0: "best"}
    return [(names.get(place, f"rank {place + 1} of {len(ranked)}"), Slice(ranked[place])) for place in places]


def dice_of_cases(run: Result, protocol: str) -> dict[str, float | None]:
    """Return case -> mean Dice over its classes in percent, as the run was scored."""
    return case_scores(run, protocol, Column("Dice", "dice", "mean", run.key.dataset, None))


def example(
    runs: Sequence[OpenedRun], labels: Sequence[str], ranked: tuple[str, Slice], protocol: str, guidance: bool
) -> Example:
    """Return the row of a case: the slice asked for, or the one with the largest objects.

    With ``guidance`` each network that has structural guidance is loaded to show its maps.
    """
    rank, wanted = ranked
    image, truth = runs[0].image_and_truth(wanted.case)
    predictions = [run.prediction(wanted.case) for run in runs]
    depth, z = len(truth), wanted.position((truth > 0).sum(axis=(1, 2)))
    # a volume's organs are small; an image is shown whole
    seen = window(truth[z], *(each[z] for each in predictions)) if depth > 1 else (slice(None), slice(None))
    panels = []
    for run, volume in zip(runs, predictions, strict=True):
        score = dice_of_cases(run.result, protocol).get(wanted.case)
        panels.append(Panel(volume[z][seen], _caption(score, volume[z], truth[z], depth)))
    maps: dict[str, Volume] = {}
    for run, label in zip(runs, labels, strict=True):
        maps |= _maps(run, label.replace("\n", ", "), image[z]) if guidance else {}
    title = "\n".join(filter(None, [rank, wanted.caption(z, depth).replace(", ", "\n")]))
    cut = {heading: picture[seen] for heading, picture in maps.items()}
    return Example(title, image[z][seen], truth[z][seen], panels, cut)


def _maps(run: OpenedRun, label: str, image: Volume) -> dict[str, Volume]:
    """Return heading -> map on the grid of a slice; empty for a network without guidance."""
    if "guidance" not in run.config.conv and run.config.backbone.name != "cto":
        return {}
    height, width = image.shape[:2]
    maps = structure_maps(run.network.model, run.network_input(image))
    return {f"{name}\n{label}": resized(picture, height, width).numpy() for name, picture in maps.items()}


def _caption(score: float | None, predicted: Volume, truth: Volume, depth: int) -> str:
    """Return the Dice of the case; of a volume that of the slice too, which alone is seen."""
    whole = "–" if score is None else f"{score:.1f}"
    if depth == 1:
        return whole
    classes = int(max(predicted.max(), truth.max(), 1))
    present = [value for value in map(dice, count(predicted, truth, classes)) if value == value]
    return f"{whole}  (slice {100 * sum(present) / len(present):.1f})" if present else whole
