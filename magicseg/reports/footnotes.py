"""What stands below a comparison table: without it a number is no result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from magicseg.reports.paper_tables import PaperTable, RunKey
from magicseg.reports.results import EMPTY, Result
from magicseg.reports.selection import Selection

READING = (
    "measured: mean ± sample standard deviation over n seeds; difference: measured minus paper; "
    "–: not measured. ↑ higher is better, ↓ lower is better."
)


def footnotes(table: PaperTable, selection: Selection, protocol: str, budget: str) -> tuple[str, ...]:
    """Return the notes of a table: reading, provenance of the measured numbers, what is left out, the paper's own."""
    source = f"Printed numbers: {table.paper}; evaluated on {table.evaluated_on}."
    inconsistencies = [f"In the paper: {note}" for note in table.notes]
    return (READING, source, *_measured(table, selection, protocol, budget), *selection.left_out, *inconsistencies)


def _measured(table: PaperTable, selection: Selection, protocol: str, budget: str) -> list[str]:
    groups = selection.groups
    if not groups:
        return [f"Measured numbers: no finished run with budget {budget} and protocol {protocol}."]

    def line(label: str, describe: Callable[[Sequence[Result]], str]) -> str:
        return f"{label}: {_by_row(groups, describe)}."

    notes = [
        f"Rows measured: {_rows_measured(table, selection)} of {len(table.rows)}. Budget: {budget}.",
        line("Seeds", lambda runs: ", ".join(str(run.seed) for run in runs)),
        line(f"Scores ({protocol})", lambda runs: runs[0].scores[protocol].protocol.describe().rstrip(".")),
        line("Empty masks over all cases, classes and seeds", lambda runs: _empty(runs, protocol)),
        line("Checkpoint", lambda runs: runs[0].checkpoint),
        line("Data", lambda runs: f"manifest {runs[0].manifest[:10]}, split {runs[0].split}{_missing(runs)}"),
        line("Parameters", lambda runs: f"{runs[0].parameters / 1e6:.2f} M"),
        line("Code", _code),
        line("Hardware", lambda runs: ", ".join(sorted({run.device for run in runs}))),
    ]
    if any(column.metric == "gflops" for column in table.columns):
        notes.append("GFLOPs are not part of a run; scripts/complexity.py counts them.")
    return notes


def _rows_measured(table: PaperTable, selection: Selection) -> int:
    return sum(any(table.key(row, column) in selection.groups for column in table.columns) for row in table.rows)


def _by_row(groups: Mapping[RunKey, Sequence[Result]], describe: Callable[[Sequence[Result]], str]) -> str:
    """Return what all rows share, or each description with the rows that it holds for."""
    rows = defaultdict(list)
    for key, runs in groups.items():
        rows[describe(runs)].append(str(key))
    if len(rows) == 1:
        return next(iter(rows))
    return "; ".join(f"{text} ({', '.join(keys)})" for text, keys in rows.items())


def _empty(runs: Sequence[Result], protocol: str) -> str:
    return ", ".join(f"{state} {sum(run.scores[protocol].empty[state] for run in runs)}" for state in EMPTY)


def _missing(runs: Sequence[Result]) -> str:
    cases = sorted({case for run in runs for case in run.missing})
    return f", missing cases ({len(cases)}): {', '.join(cases)}" if cases else ""


def _code(runs: Sequence[Result]) -> str:
    commits = ", ".join(sorted({run.commit.replace("-dirty", " with uncommitted changes") for run in runs}))
    return f"sources {runs[0].code}, commit {commits}"
