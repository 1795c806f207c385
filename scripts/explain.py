"""Draw class activation maps: ``python scripts/explain.py run=DIR case=NAME layer=NAME classes=RV``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures.opened import OpenedRun, Volume, open_runs
from figures.slices import Slice
from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.errors import UserError, choose
from magicseg.reports.figures.activation import Activation, draw_activations
from magicseg.reports.figures.pictures import window
from magicseg.reports.figures.shown import budget_note, find_runs, one_data_set, run_labels
from magicseg.reports.figures.structure import resized
from magicseg.reports.figures.style import save_figure


@dataclass
class Arguments:
    """Show by Grad-CAM++ which part of a slice made a layer speak for a class; several runs stand side by side.

    run: run folders or folders above them, with commas; * and ** stand for names (quote them for the shell).
    case: a test case, CASE or CASE:SLICE; without a number the slice with the largest objects of these classes.
    layer: one for all runs, or one for each, with commas; without it the layers of each run are listed.
    classes: one or several, with commas; all without it.
    output: the folder for the figure.
    labels: names for the runs, with commas.
    trust: open runs whose configuration names code that is not magicseg's; it is run.
    """

    run: str = MISSING
    case: str = MISSING
    layer: str = ""
    classes: str = ""
    output: Path = Path("outputs/figures")
    labels: str = ""
    trust: bool = False


def main(argv: Sequence[str]) -> None:
    """Draw the maps, or list the layers where none is named."""
    arguments = parse(Arguments, argv)
    runs = find_runs(arguments.run, report=tell)
    one_data_set(runs)
    labels, opened = run_labels(runs, arguments.labels), open_runs(runs, arguments.trust)
    names = list(opened[0].config.dataset.classes)
    wanted = [choose("class", name.strip(), names) for name in (arguments.classes or ",".join(names)).split(",")]
    indices = [names.index(name) + 1 for name in wanted]
    asked = Slice.parse(arguments.case)
    image, truth = opened[0].image_and_truth(asked.case)
    z = asked.position(np.isin(truth, indices).sum(axis=(1, 2)))
    if not arguments.layer:
        list_layers(opened, image[z])
        return
    chosen = one_each(arguments.layer, opened)
    pairs = zip(wanted, indices, strict=True)
    rows = [activation(opened, chosen, name, index, image[z], truth[z]) for name, index in pairs]
    where = f"{asked.caption(z, len(truth))}; Grad-CAM++ at {', '.join(dict.fromkeys(chosen))}"
    figure = draw_activations(rows, labels, f"{where}. White: ground truth. {budget_note(runs, labels)}")
    for path in save_figure(figure, arguments.output / f"activation_{runs[0].key.dataset}_{asked.case}"):
        tell(f"Wrote {path}")


def one_each(layer: str, runs: Sequence[OpenedRun]) -> list[str]:
    """Return a layer for each run."""
    chosen = [name.strip() for name in layer.split(",")]
    if len(chosen) not in (1, len(runs)):
        raise UserError(f"layer names {len(chosen)} layers for {len(runs)} runs; allowed are one for all or one each.")
    return chosen * len(runs) if len(chosen) == 1 else chosen


def activation(
    runs: Sequence[OpenedRun], chosen: Sequence[str], name: str, index: int, image: Volume, truth: Volume
) -> Activation:
    """Return the row of a class: the map of each run on the grid of the slice, cut to the objects of a volume."""
    from magicseg.reports.figures.grad_cam import class_activation  # imports MONAI, which takes seconds

    height, width = truth.shape
    rows, columns = window(truth, margin=0.4)
    maps = []
    for run, layer in zip(runs, chosen, strict=True):
        binary = run.config.recipe.output == "sigmoid"  # its only logit is that of the object
        x = run.network_input(image)
        picture = class_activation(run.network.model, x, layer, 0 if binary else index)
        maps.append(resized(picture, height, width).numpy()[rows, columns])
    return Activation(name, image[rows, columns], truth[rows, columns] == index, maps)


def list_layers(runs: Sequence[OpenedRun], image: Volume) -> None:
    """Print what can be explained in each run."""
    from magicseg.reports.figures.grad_cam import layers

    for run in runs:
        print(f"{run.result.key}, layer=NAME with one of (channels x rows x columns):")
        for name, shape in layers(run.network.model, run.network_input(image)).items():
            print(f"  {name:<40} {' x '.join(map(str, shape))}")


def tell(sentence: str) -> None:
    """Say something that is not a result."""
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    run_friendly(main)
