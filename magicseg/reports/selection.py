"""Which runs stand behind a cell: only runs that are alike in everything but the seed are ever averaged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import NamedTuple

from magicseg.errors import UserError, choose
from magicseg.files import digest
from magicseg.reports.paper_tables import PaperTable, RunKey
from magicseg.reports.results import BUDGETS, Result

CHOICES = ("variant", "data", "split", "code")
"""What a user can choose by when runs of one row differ."""
SHOWN = 4
"""How many rows an error lists."""


class Setting(NamedTuple):
    """Everything but the seed that a number depends on, in the short form that is shown and chosen by."""

    variant: str
    data: str
    split: str
    code: str
    protocol: str
    checkpoint: str


class Selection(NamedTuple):
    """The runs to show by cell, ordered by seed, and a sentence for each kind of run that is left out."""

    groups: dict[RunKey, list[Result]]
    left_out: list[str]


def setting(result: Result, protocol: str) -> Setting:
    """Return what the scores of a run under ``protocol`` depend on."""
    scores = result.scores[protocol]
    rules = f"{scores.protocol.name}-{digest([asdict(scores.protocol), scores.unit], 8)}"
    return Setting(result.variant, result.manifest[:10], result.split, result.code, rules, result.checkpoint)


def select(
    table: PaperTable, results: Sequence[Result], protocol: str, budget: str, choices: Mapping[str, Sequence[str]]
) -> Selection:
    """Return the runs of ``budget`` that measure the cells of ``table`` under ``protocol``.

    Args:
        table: the table to fill.
        results: all finished runs.
        protocol: name under which the scores are stored in a run.
        budget: full, cpu or demo.
        choices: for rows whose runs differ, the wanted values by name (see ``CHOICES``); other rows are untouched.

    Raises:
        UserError: runs of one row differ in more than the seed, a seed occurs twice, or a name is unknown.
    """
    choose("budget", budget, BUDGETS)
    keys = {table.key(row, column) for row in table.rows for column in table.columns}
    runs = [result for result in results if result.key in keys]
    if runs:
        choose("protocol", protocol, {name for run in runs for name in run.scores})
    scored = [run for run in runs if run.budget == budget and protocol in run.scores]
    _check_choices(scored, protocol, choices)
    groups = defaultdict(list)
    for run in sorted(scored, key=lambda run: (run.key, run.seed, run.path)):
        groups[run.key].append(run)
    chosen = {key: _chosen(group, protocol, choices) for key, group in groups.items()}
    _refuse_mixtures(table.name, chosen, protocol)
    return Selection(chosen, _left_out(runs, chosen, protocol, budget))


def _check_choices(runs: Sequence[Result], protocol: str, choices: Mapping[str, Sequence[str]]) -> None:
    for name, values in choices.items():
        choose("choice", name, CHOICES)
        for value in values if runs else ():
            choose(name, value, {getattr(setting(run, protocol), name) for run in runs})


def _chosen(group: list[Result], protocol: str, choices: Mapping[str, Sequence[str]]) -> list[Result]:
    for name, values in choices.items():
        group = [run for run in group if getattr(setting(run, protocol), name) in values] or group
    return group


def _refuse_mixtures(table: str, groups: Mapping[RunKey, Sequence[Result]], protocol: str) -> None:
    mixtures = []
    for key, group in groups.items():
        seeds: dict[Setting, list[Result]] = defaultdict(list)
        for run in group:
            seeds[setting(run, protocol)].append(run)
        if len(seeds) > 1:
            mixtures.append(f"{key}: {_differences(seeds)}")
        for runs in seeds.values():
            _refuse_repeated_seed(runs)
    if mixtures:
        more = f"; and {len(mixtures) - SHOWN} more rows" if len(mixtures) > SHOWN else ""
        raise UserError(
            f"{table}: runs that differ in more than the seed are never averaged. "
            f"Found {'; '.join(mixtures[:SHOWN])}{more}. "
            f"Choose by {', '.join(f'{name}=...' for name in CHOICES)} (several values with commas); where only the "
            f"protocol or the checkpoint rule differs, score the runs again under one rule."
        )


def _differences(seeds: Mapping[Setting, Sequence[Result]]) -> str:
    differing = [name for name in Setting._fields if len({getattr(each, name) for each in seeds}) > 1]

    def describe(each: Setting) -> str:
        values = " ".join(f"{name}={getattr(each, name)}" for name in differing)
        return f"{values} (seed {', '.join(str(run.seed) for run in seeds[each])})"

    return ", ".join(map(describe, seeds))


def _refuse_repeated_seed(runs: Sequence[Result]) -> None:
    for first, second in pairwise(runs):
        if first.seed == second.seed:
            raise UserError(f"Seed {first.seed} of one run occurs twice: {first.path} and {second.path}. Remove one.")


def _left_out(
    runs: Sequence[Result], chosen: Mapping[RunKey, Sequence[Result]], protocol: str, budget: str
) -> list[str]:
    budgets = Counter(run.budget for run in runs if run.budget != budget)
    unscored = sum(run.budget == budget and protocol not in run.scores for run in runs)
    unchosen = len(runs) - budgets.total() - unscored - sum(map(len, chosen.values()))
    sentences = [f"{_runs(number)} with budget {name}; add budget={name}." for name, number in sorted(budgets.items())]
    if unscored:
        sentences.append(f"{_runs(unscored)} without scores under protocol {protocol}.")
    if unchosen:
        sentences.append(f"{_runs(unchosen)} that the given choice excludes.")
    return [f"Not shown: {sentence}" for sentence in sentences]


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number != 1)}"
