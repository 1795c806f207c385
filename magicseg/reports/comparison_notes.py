"""What paired comparisons show and what they cannot show, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from magicseg.reports.cells import Pair
from magicseg.reports.statistics import FEW_SEEDS, SIGNIFICANCE, Comparison


class Described(NamedTuple):
    """What came of comparing the cell of a row and column."""

    row: str
    column: str
    pair: Pair


def notes(cells: Sequence[Described], reference: str) -> list[str]:
    """Return the sentences below a table whose cells were compared with ``reference``."""
    sentences = []
    if any(cell.pair.comparison for cell in cells):
        sentences = [_method(cells, reference), *_unit(cells), *_too_few_subjects(cells)]
        sentences += [*_too_few_seeds(cells), *_doubts(cells)]
    skipped = max((cell.pair.skipped for cell in cells), default=0)
    if skipped:
        sentences.append(f"Up to {skipped} cases that the protocol skips in a run are left out of a comparison.")
    return [*sentences, *_reasons(cells)] or ["Nothing is measured that could be compared."]


def _method(cells: Sequence[Described], reference: str) -> str:
    name = "the regular convolution of the same backbone" if reference == "baseline" else reference
    number = len(_compared(cells))
    return (
        f"Compared with {name}, subject by subject: mean difference [95 % interval] in the unit of the column (percent "
        "points for Dice, IoU, accuracy and PQ); the interval is a bootstrap over subjects and seeds. "
        f"† better, ‡ worse: Wilcoxon signed-rank test over subjects, seeds averaged, p < {SIGNIFICANCE} after Holm's "
        f"correction for the {number} comparison{'s' * (number != 1)} of this table."
    )


def _unit(cells: Sequence[Described]) -> list[str]:
    """Return how many independent pieces of evidence the comparisons rest on, and where these are not known."""
    found: dict[str, list[Described]] = defaultdict(list)
    for cell in cells:
        if cell.pair.comparison:
            found[f"{cell.pair.comparison.subjects} subjects ({cell.pair.cases} cases)"].append(cell)
    parts = [f"{number}: {_names(some, cells)}" for number, some in found.items()]
    text = "; ".join(parts) if len(parts) > 1 else next(iter(found))
    sentences = [f"The unit of test and interval is the subject, its cases averaged: {text}."]
    unknown = _where(cells, lambda pair, each: not pair.subjects_known)
    if unknown:
        sentences.append(
            "Each case counts as a subject of its own, as cases.csv names none (mode=evaluate run=DIR adds them); if "
            f"patients have several, these intervals are too narrow and these p too small: {unknown}."
        )
    return sentences


def _compared(cells: Sequence[Described]) -> list[Comparison]:
    return [cell.pair.comparison for cell in cells if cell.pair.comparison]


def _too_few_subjects(cells: Sequence[Described]) -> list[str]:
    """Return for which cells, or for how many comparisons, there are too few subjects to show anything."""
    few = _where(cells, lambda pair, each: each.smallest_p > SIGNIFICANCE)
    sentences = [f"Too few subjects differ to show anything (fewer than 6): {few}."] if few else []
    compared = _compared(cells)
    alone = min(each.smallest_p for each in compared)
    together = min(1.0, len(compared) * alone)
    if alone <= SIGNIFICANCE < together:
        most = max(each.informative for each in compared)
        sentences.append(
            f"With {len(compared)} comparisons and at most {most} differing subjects no adjusted p can fall below "
            f"{together:.2g}: this table cannot show a difference; its intervals and unadjusted p still can."
        )
    return sentences


def _too_few_seeds(cells: Sequence[Described]) -> list[str]:
    sentences = []
    single = _where(cells, lambda pair, each: min(each.seeds) == 1)
    if single:
        sentences.append(f"A single seed, so that the interval does not cover the spread between trainings: {single}.")
    if any(1 < min(each.seeds) < FEW_SEEDS for each in _compared(cells)):
        sentences.append(f"Intervals from fewer than {FEW_SEEDS} seeds tend to be too narrow.")
    return sentences


def _doubts(cells: Sequence[Described]) -> list[str]:
    """Return which marks rest on these trainings alone, and which are not given as mean and ranks disagree."""
    doubtful = _where(cells, lambda pair, each: pair.direction != 0 and each.low <= 0 <= each.high)
    divided = _where(cells, lambda pair, each: pair.significant and pair.direction == 0)
    sentences = []
    if doubtful:
        sentences.append(
            "Marked, though the interval holds 0 (the test averages the seeds and speaks of these trainings; others "
            f"may reverse it): {doubtful}."
        )
    if divided:
        sentences.append(
            "Not marked in spite of a small p, as the mean difference has the other sign (a few large differences "
            f"decide it): {divided}."
        )
    return sentences


def _where(cells: Sequence[Described], holds: Callable[[Pair, Comparison], bool]) -> str:
    """Return the rows for which something holds, with their columns unless it holds for all of them."""
    found = [cell for cell in cells if cell.pair.comparison and holds(cell.pair, cell.pair.comparison)]
    return _names(found, [cell for cell in cells if cell.pair.comparison])


def _names(found: Sequence[Described], everything: Sequence[Described]) -> str:
    columns: dict[str, list[str]] = defaultdict(list)
    for cell in found:
        columns[cell.row].append(cell.column)
    rows = [cell.row for cell in everything]
    return ", ".join(
        row if len(names) == rows.count(row) else f"{row} ({', '.join(names)})" for row, names in columns.items()
    )


def _reasons(cells: Sequence[Described]) -> list[str]:
    reasons = dict.fromkeys(cell.pair.reason for cell in cells if cell.pair.reason)
    return [
        f"Not compared: {_names([cell for cell in cells if cell.pair.reason == reason], cells)}: {reason}."
        for reason in reasons
    ]
