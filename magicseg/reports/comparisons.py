"""Paired comparisons of a table's rows with a reference row, subject by subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from magicseg.errors import UserError, choose
from magicseg.reports.cases import case_scores, case_subjects
from magicseg.reports.cells import Cell, Pair, Row, Table
from magicseg.reports.comparison_notes import Described, notes
from magicseg.reports.paper_tables import Column, paper_table, table_names
from magicseg.reports.results import Result
from magicseg.reports.settings import Group
from magicseg.reports.statistics import compare, holm

BASELINE = "baseline"
COUNTED = ("parameters", "gflops")
"""What a run has one number of, and no case has any."""


class Place(NamedTuple):
    """A measured cell, and where in the table it is: row, line, column."""

    position: tuple[int, int, int]
    label: str
    cell: Cell
    group: Group


class Paired(NamedTuple):
    """Scores of two groups on the same subjects, each [seeds, subjects], means over the subject's cases.

    ``cases`` counts the cases behind them, ``skipped`` those left out; ``known`` tells whether the runs name subjects,
    or each case stands for one.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    cases: int
    skipped: int
    known: bool


Refers = Callable[[Place, Place], bool]
"""Whether the first place is the reference of the second."""


def with_comparisons(table: Table, reference: str = BASELINE) -> Table:
    """Return the table with every measured score compared with the same column of a reference row.

    Args:
        table: a table as build_table returns it.
        reference: a row's label; or a convolution, for its row of the same backbone; "baseline" is the regular one.

    Raises:
        UserError: no row has this label or convolution.
    """
    places = _places(table)
    refers = _reference(table, places, reference)
    subjects = [place for place in places if not refers(place, place)]
    pairs = _adjusted([_pair(table.protocol, place, places, refers) for place in subjects])
    by_position = dict(zip((place.position for place in subjects), pairs, strict=True))
    rows = tuple(_with_pairs(index, row, by_position) for index, row in enumerate(table.rows))
    described = [
        Described(place.label, place.cell.column.name, pair) for place, pair in zip(subjects, pairs, strict=True)
    ]
    return replace(table, rows=rows).with_notes("Comparisons", notes(described, reference))


def _places(table: Table) -> list[Place]:
    return [
        Place((row_index, line_index, column_index), row.label, cell, cell.group)
        for row_index, row in enumerate(table.rows)
        for line_index, line in enumerate(row.lines)
        for column_index, cell in enumerate(line)
        if cell.group and cell.n and cell.column.metric not in COUNTED
    ]


def _reference(table: Table, places: Sequence[Place], reference: str) -> Refers:
    """Return what tells the reference of a place; a name that no table knows is a mistake."""
    papers = [row for name in table_names() for row in paper_table(name).rows]
    labels = {row.label for row in papers} | {row.label for row in table.rows}
    convs = {row.conv for row in papers if row.conv} | {place.group.key.conv for place in places}
    choose("reference row", reference, {BASELINE, *labels, *convs})
    conv = "regular" if reference == BASELINE else reference

    def refers(first: Place, second: Place) -> bool:
        same_key = first.group.key == second.group.key._replace(conv=conv)
        return first.cell.column == second.cell.column and (first.label == reference or same_key)

    return refers


def _pair(protocol: str, place: Place, places: Sequence[Place], refers: Refers) -> Pair:
    """Return a place compared with its reference; of several, that of its own code."""
    candidates = [other for other in places if refers(other, place)]
    alike = [other for other in candidates if _alike(other.group, place.group)]
    own_code = [other for other in alike if other.group.setting.code == place.group.setting.code]
    fitting = own_code or alike
    if len(fitting) != 1:
        return Pair("", reason=_no_reference(candidates, fitting))
    (other,) = fitting
    column = place.cell.column
    try:
        paired = paired_scores(place.group, other.group, protocol, column)
    except UserError as error:
        return Pair(other.label, other.group.mark, reason=str(error).rstrip("."))
    key = (str(place.group.key), str(other.group.key), column.metric, column.label_class, protocol)
    comparison = compare(paired.first, paired.second, key=key)
    return Pair(
        other.label,
        other.group.mark,
        comparison,
        cases=paired.cases,
        skipped=paired.skipped,
        subjects_known=paired.known,
    )


def _alike(first: Group, second: Group) -> bool:
    """Whether two groups differ in nothing that their numbers depend on but the convolution, the backbone or code."""
    same_network = first.setting.network == second.setting.network
    return first.setting.test == second.setting.test and (same_network or first.key.backbone != second.key.backbone)


def _no_reference(candidates: Sequence[Place], fitting: Sequence[Place]) -> str:
    if fitting:
        names = ", ".join(f"{each.label} [{each.group.mark}]" for each in fitting)
        return f"several runs fit as reference ({names}); choose one, e.g. by variant=... or code=..."
    if candidates:
        return "the reference rests on other data, split, protocol, budget, recipe or network"
    return "no reference row is measured"


def paired_scores(first: Group, second: Group, protocol: str, column: Column) -> Paired:
    """Return the scores of two groups on the same subjects.

    A case is left out if the protocol skips it in any of the runs. The folds of a seed together are its cases.

    Raises:
        UserError: the runs were not tested on the same cases, or no case is scored in all of them.
    """
    if column.metric == "pq" and first.runs[0].under(protocol).protocol.panoptic == "pooled":
        raise UserError("PQ is pooled over all images, so that no case has its own.")
    a, b = _by_seed(first, protocol, column), _by_seed(second, protocol, column)
    names = {frozenset(scores) for scores in (*a, *b)}
    if len(names) > 1:
        differing = sorted(frozenset.union(*names) - frozenset.intersection(*names))
        raise UserError(
            f"the runs were not tested on the same cases: {len(differing)} are not in all, first {differing[0]}"
        )
    cases = [case for case in sorted(a[0]) if all(scores[case] is not None for scores in (*a, *b))]
    if not cases:
        raise UserError("no case is scored in all runs")
    subjects = _subjects((*first.runs, *second.runs))
    known = subjects.keys() >= set(cases)
    _, owner = np.unique([subjects[case] if known else case for case in cases], return_inverse=True)
    arrays = [np.array([[scores[case] for case in cases] for scores in each], dtype=float) for each in (a, b)]
    means = [_subject_means(array, owner) for array in arrays]
    return Paired(means[0], means[1], len(cases), len(a[0]) - len(cases), known)


def _subject_means(scores: NDArray[np.float64], owner: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return [seeds, subjects] of [seeds, cases]; ``owner`` is the number of each case's subject."""
    return np.stack([np.bincount(owner, row) for row in scores]) / np.bincount(owner)


def _subjects(runs: Sequence[Result]) -> dict[str, str]:
    """Return case -> subject as far as any of the runs, which have the same cases, tells it."""
    return {case: subject for run in runs for case, subject in case_subjects(run).items()}


def _by_seed(group: Group, protocol: str, column: Column) -> list[dict[str, float | None]]:
    """Return case -> score of each seed, over all its folds."""
    seeds: dict[int, dict[str, float | None]] = {seed: {} for seed in group.seeds}
    for run in group.runs:
        seeds[run.seed] |= case_scores(run, protocol, column)
    return list(seeds.values())


def _adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs with p-values adjusted for all comparisons of the table."""
    adjusted = iter(holm([pair.comparison.p_value for pair in pairs if pair.comparison]).tolist())
    return [replace(pair, p_holm=next(adjusted)) if pair.comparison else pair for pair in pairs]


def _with_pairs(index: int, row: Row, pairs: Mapping[tuple[int, int, int], Pair]) -> Row:
    lines = tuple(
        tuple(replace(cell, pair=pairs.get((index, line_index, column))) for column, cell in enumerate(line))
        for line_index, line in enumerate(row.lines)
    )
    return replace(row, lines=lines)
