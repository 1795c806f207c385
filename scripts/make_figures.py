"""Draw figures of finished runs: ``python scripts/make_figures.py kind=qualitative runs='outputs/acdc/*/*/*-s1'``."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.errors import choose
from magicseg.reports.figures.cost import draw_cost
from magicseg.reports.figures.curves import draw_curves
from magicseg.reports.figures.qualitative import draw_qualitative
from magicseg.reports.figures.shown import budget_note, check_scored, find_runs, one_data_set, run_labels
from magicseg.reports.figures.style import save_figure
from magicseg.reports.results import Result


@dataclass
class Options:
    """Draw figures of finished runs, each as png and as pdf; one figure for each data set among the runs.

    kind: qualitative (cases side by side), curves (training over epochs) or cost (score over what it costs).
    runs: run folders or folders above them, with commas; * and ** stand for names (quote them for the shell).
    output: the folder for the figures.
    protocol: which of a run's scores to show (paper, strict, or a protocol's name).
    cases: for qualitative: test cases, with commas, each CASE or CASE:SLICE.
    count: for qualitative without cases: so many, evenly from the best to the worst of the first run.
    guidance: for qualitative: show edge and guidance maps of networks that have them.
    labels: for qualitative: names for the runs, with commas.
    metric: for cost: dice, iou, accuracy, pq, hd95 or asd.
    trust: open runs whose configuration names code that is not magicseg's; it is run.
    """

    kind: str = MISSING
    runs: str = MISSING
    output: Path = Path("outputs/figures")
    protocol: str = "paper"
    cases: str = ""
    count: int = 3
    guidance: bool = True
    labels: str = ""
    metric: str = "dice"
    trust: bool = False


def main(arguments: Sequence[str]) -> None:
    """Read the runs, draw the figures and say where they are."""
    options = parse(Options, arguments)
    draw = KINDS[choose("kind", options.kind, KINDS)]
    for dataset, runs in by_dataset(find_runs(options.runs, report=tell)).items():
        for path in save_figure(draw(runs, options), options.output / f"{options.kind}_{dataset}"):
            tell(f"Wrote {path}")


def by_dataset(runs: Sequence[Result]) -> dict[str, list[Result]]:
    """Return the runs of each data set."""
    found: dict[str, list[Result]] = defaultdict(list)
    for run in runs:
        found[run.key.dataset].append(run)
    return found


def qualitative(runs: Sequence[Result], options: Options) -> Figure:
    """Return the same cases as several runs segment them."""
    from figures.grids import chosen_slices, example  # PyTorch is imported only where a figure needs it
    from figures.opened import open_runs

    one_data_set(runs)
    check_scored(runs, options.protocol)
    labels = run_labels(runs, options.labels)
    slices = chosen_slices(runs[0], options.cases, options.count, options.protocol)
    opened = open_runs(runs, options.trust)
    examples = [example(opened, labels, each, options.protocol, options.guidance) for each in slices]
    name = runs[0].under(options.protocol).protocol.name
    where = ", ".join(dict.fromkeys([runs[0].key.dataset, *(run.key.backbone for run in runs)]))
    note = f"{where}. Below: Dice (%) of the case, mean over classes, protocol {name}. {budget_note(runs, labels)}"
    return draw_qualitative(examples, labels, list(opened[0].config.dataset.classes), note)


def curves(runs: Sequence[Result], options: Options) -> Figure:
    """Return loss and validation Dice over the epochs."""
    return draw_curves(runs)


def cost(runs: Sequence[Result], options: Options) -> Figure:
    """Return a score over parameters and multiply-adds."""
    from figures.opened import open_runs  # as above

    def macs(run: Result) -> int:
        return open_runs([run], options.trust)[0].macs()

    return draw_cost(runs, macs, options.metric, options.protocol)


KINDS: Mapping[str, Callable[[Sequence[Result], Options], Figure]] = {
    "qualitative": qualitative,
    "curves": curves,
    "cost": cost,
}


def tell(sentence: str) -> None:
    """Say something that is not a result."""
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    run_friendly(main)
