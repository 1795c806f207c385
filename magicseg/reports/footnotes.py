"""What stands below a comparison table: without it a number is no result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from magicseg.reports.paper_tables import PaperTable
from magicseg.reports.recipes import not_as_shipped
from magicseg.reports.request import Request
from magicseg.reports.results import EMPTY, FOLDS
from magicseg.reports.selection import Selection
from magicseg.reports.settings import Group

READING = (
    "measured: mean ± sample standard deviation over n seeds; difference: measured minus paper; "
    "–: not measured. ↑ higher is better, ↓ lower is better.",
    "Bold: best of the column, underlined: second; measured numbers are ranked among measured ones that rest on the "
    "same data, split, protocol and recipe, printed ones among printed ones.",
)
FOLDED = (
    "Cross-validated: mean over the folds of a seed, then over seeds; ± is the sample standard deviation over the "
    "folds, not over seeds. A row that lacks folds is not ranked."
)


def footnotes(table: PaperTable, selection: Selection, request: Request) -> dict[str, tuple[str, ...]]:
    """Return the notes of a table by heading; a heading without notes is left out."""
    groups = [group for row in selection.groups.values() for group in row]
    source = [f"Printed numbers: {table.paper}; evaluated on {table.evaluated_on}."] if table.paper else []
    sections = {
        "How to read it": [*READING, *_marks(selection), *([FOLDED] if _folded(groups) else []), *source],
        "Measured numbers": _measured(table, groups, request),
        "Not shown": selection.left_out,
        "In the paper": list(table.notes),
    }
    return {heading: tuple(notes) for heading, notes in sections.items() if notes}


def _marks(selection: Selection) -> list[str]:
    meanings = [f"{letter}: {meaning}" for letter, meaning in selection.letters.items()]
    return [f"Letters mark runs that differ in more than the seed. {'; '.join(meanings)}."] if meanings else []


def _folded(groups: list[Group]) -> bool:
    return any(run.fold is not None for group in groups for run in group.runs)


def _measured(table: PaperTable, groups: list[Group], request: Request) -> list[str]:
    budgets, protocol = " or ".join(request.budgets), request.protocol
    if not groups:
        return [f"There is no finished run with budget {budgets} and protocol {protocol}."]

    def line(label: str, describe: Callable[[Group], str]) -> str:
        return f"{label}: {_by_row(groups, describe)}."

    notes = [
        f"Rows measured: {_rows_measured(table, groups)} of {len(table.rows)}.",
        line("Budget", _budget),
        line("Seeds", lambda group: ", ".join(map(str, group.seeds))),
        *([line("Folds", _folds)] if _folded(groups) else []),
        line(f"Scores ({protocol})", lambda group: group.runs[0].under(protocol).protocol.describe().rstrip(".")),
        line("Empty masks over all cases, classes and seeds", lambda group: _empty(group, protocol)),
        line("Checkpoint", lambda group: group.setting.checkpoint),
        line("Data", _data),
        line("Parameters", lambda group: f"{group.runs[0].parameters / 1e6:.2f} M"),
        line("Code", _code),
        line("Hardware", lambda group: ", ".join(sorted({run.device for run in group.runs}))),
    ]
    if any(set("+/") & set(group.setting.code) for group in groups):
        notes.append(
            "Code a+b: the training was begun by a and gone on with by b; a/b: trained by a and scored again by b."
        )
    if any(column.metric == "gflops" for column in table.columns):
        notes.append("GFLOPs are not part of a run; scripts/complexity.py counts them.")
    return notes


def _rows_measured(table: PaperTable, groups: list[Group]) -> int:
    measured = {group.key for group in groups}
    return sum(any(table.key(row, column) in measured for column in table.columns) for row in table.rows)


def _by_row(groups: list[Group], describe: Callable[[Group], str]) -> str:
    """Return what all rows share, or each description with the rows that it holds for."""
    rows = defaultdict(list)
    for group in groups:
        rows[describe(group)].append(str(group))
    if len(rows) == 1:
        return next(iter(rows))
    return "; ".join(f"{text} ({', '.join(names)})" for text, names in rows.items())


def _budget(group: Group) -> str:
    """Return the budget, with what of its recipe and network is not as shipped."""
    changes = not_as_shipped(group.runs[0])  # the others are alike
    return f"{group.setting.budget} with {changes}" if changes else group.setting.budget


def _folds(group: Group) -> str:
    """Return which folds are there, by seed where not all are."""
    folded = [run for run in group.runs if run.fold is not None]
    folds = {seed: [run.fold for run in folded if run.seed == seed] for seed in group.seeds}
    incomplete = [
        f"seed {seed} has only {', '.join(f'fold{fold}' for fold in found)} of {FOLDS} folds"
        for seed, found in folds.items()
        if len(found) < FOLDS
    ]
    if not folded:
        return "none"
    return f"incomplete, {', '.join(incomplete)}" if incomplete else f"all {FOLDS}"


def _empty(group: Group, protocol: str) -> str:
    return ", ".join(f"{state} {sum(run.under(protocol).empty[state] for run in group.runs)}" for state in EMPTY)


def _data(group: Group) -> str:
    cases = sorted({case for run in group.runs for case in run.missing})
    missing = f", missing cases ({len(cases)}): {', '.join(cases)}" if cases else ", no case missing"
    return f"{group.key.dataset}, manifest {group.setting.data}, split {group.setting.split}{missing}"


def _code(group: Group) -> str:
    commits = ", ".join(sorted({run.commit.replace("-dirty", " with uncommitted changes") for run in group.runs}))
    return f"sources {group.setting.code}, commit {commits}"
