"""Which runs stand behind a cell: only runs that are alike in everything but the seed are ever averaged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from magicseg.errors import UserError
from magicseg.reports.paper_tables import PaperTable, RunKey
from magicseg.reports.recipes import not_as_shipped
from magicseg.reports.request import CHOICES, Request
from magicseg.reports.results import Result
from magicseg.reports.settings import Group, Setting, marked, mixtures, scope, setting

SHOWN = 4
"""How many rows an error lists for each kind of run."""


class Selection(NamedTuple):
    """The runs to show by cell, what their letters stand for, and a sentence for each kind of run left out."""

    groups: dict[RunKey, list[Group]]
    letters: dict[str, str]
    left_out: list[str]


def select(table: PaperTable, results: Sequence[Result], request: Request) -> Selection:
    """Return the runs that measure the cells of ``table``, ordered by seed and fold.

    Raises:
        UserError: rows differ in more than the request allows, a seed occurs twice, or a name is unknown.
    """
    request.check(results)
    keys = dict.fromkeys(table.key(row, column) for row in table.rows for column in table.columns)
    runs = [result for result in results if result.key in keys]
    scored = [run for run in runs if run.budget in request.budgets and run.role(request.protocol)]
    chosen = _chosen(scored, request)
    groups = group_runs(chosen, request.protocol)
    _refuse_mixtures(table.name, groups, request.mix)
    rows, letters = marked({key: groups[key] for key in keys if key in groups})
    return Selection(rows, letters, _left_out(runs, chosen, request))


def _chosen(runs: Sequence[Result], request: Request) -> list[Result]:
    """Return the runs that fit every choice; one counts only where there is a run that fits it."""
    for name, values in request.choices.items():
        fits = {run.path: getattr(setting(run, request.protocol), name) in values for run in runs}
        scopes = {scope(name, run.key) for run in runs if fits[run.path]}
        runs = [run for run in runs if fits[run.path] or scope(name, run.key) not in scopes]
    return list(runs)


def group_runs(runs: Sequence[Result], protocol: str) -> dict[RunKey, list[Group]]:
    """Return the runs of each row as groups that are alike in all but the seed, members ordered by seed and fold.

    Raises:
        UserError: a seed occurs twice.
    """
    alike: dict[tuple[RunKey, Setting], list[Result]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.seed, run.fold or 0, run.path)):
        alike[run.key, setting(run, protocol)].append(run)
    groups: dict[RunKey, list[Group]] = defaultdict(list)
    for (key, each), members in sorted(alike.items(), key=lambda item: item[0]):
        _refuse_repetition(members)
        groups[key].append(Group(key, each, tuple(members)))
    return dict(groups)


def _refuse_repetition(runs: Sequence[Result]) -> None:
    for first, second in pairwise(runs):
        if (first.seed, first.fold) == (second.seed, second.fold):
            fold = "" if first.fold is None else f", fold {first.fold},"
            raise UserError(
                f"Seed {first.seed}{fold} of one run occurs twice: {first.path} and {second.path}. Remove one."
            )


def _refuse_mixtures(table: str, groups: Mapping[RunKey, Sequence[Group]], mix: frozenset[str]) -> None:
    refused = {name: values for name, values in mixtures(groups).items() if name not in mix}
    if not refused:
        return
    found = ". ".join(
        ", ".join(
            f"{name}={value}{_changes(name, members)}: {_rows(members)}" for value, members in sorted(values.items())
        )
        for name, values in refused.items()
    )
    choosable = [name for name in refused if name in CHOICES]
    choice = f"Choose by {', '.join(f'{name}=...' for name in choosable)}, or show" if choosable else "Show"
    again = "; or score the runs again under one protocol" if "protocol" in refused else ""
    raise UserError(
        f"{table}: these runs differ in {' and '.join(refused)}, so that they do not stand in one table unasked. "
        f"Found {found}. {choice} all of them, marked, with mix={','.join(sorted(mix | set(refused)))}{again}."
    )


def _changes(name: str, groups: Sequence[Group]) -> str:
    """Return in words what a hash of a recipe or a network stands for."""
    if name not in ("recipe", "network"):
        return ""
    return f" ({not_as_shipped(groups[0].runs[0]) or 'as shipped'})"


def _rows(groups: Sequence[Group]) -> str:
    names = [f"{group.key} (seed {', '.join(map(str, group.seeds))})" for group in groups]
    more = [f"and {len(names) - SHOWN} more rows"] if len(names) > SHOWN else []
    return "; ".join([*names[:SHOWN], *more])


def _left_out(runs: Sequence[Result], chosen: Sequence[Result], request: Request) -> list[str]:
    budgets = Counter(run.budget for run in runs if run.budget not in request.budgets)
    unscored = sum(run.budget in request.budgets and not run.role(request.protocol) for run in runs)
    unchosen = len(runs) - budgets.total() - unscored - len(chosen)
    sentences = [f"{_runs(number)} with budget {name}; add budget={name}." for name, number in sorted(budgets.items())]
    if unscored:
        sentences.append(f"{_runs(unscored)} without scores under protocol {request.protocol}.")
    if unchosen:
        sentences.append(f"{_runs(unchosen)} that the given choice excludes.")
    return sentences


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number != 1)}"
