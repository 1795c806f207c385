"""The papers' tables with measured numbers beside the printed ones: a pure function of finished runs."""

from __future__ import annotations

from collections.abc import Sequence

from magicseg.reports.cells import Cell, Row, Sample, Table
from magicseg.reports.footnotes import footnotes
from magicseg.reports.own_rows import OWN, own_table, with_own_rows
from magicseg.reports.paper_tables import Column, PaperRow, PaperTable, RunKey, paper_table
from magicseg.reports.ranking import ranked
from magicseg.reports.recipes import not_as_shipped
from magicseg.reports.request import Request
from magicseg.reports.results import Result
from magicseg.reports.selection import Selection, select
from magicseg.reports.settings import Group

SIZES = {"cpu": "CPU-sized runs", "demo": "demonstration runs"}


def build_table(name: str, results: Sequence[Result], request: Request | None = None) -> Table:
    """Return a table with mean and standard deviation over seeds in every cell that was measured.

    Args:
        name: magic_table1 to magic_table7, sgdc_table1 to sgdc_table5, or own_ and the name of a data set.
        results: finished runs in any order; those that are not part of the table are ignored.
        request: which of them to show; full runs under the papers' protocol if None.

    Raises:
        UserError: an unknown name, or runs differ in more than the seed and the request does not allow it.
    """
    request = request or Request()
    own = name.startswith(OWN)
    paper = own_table(name, results, request.protocol) if own else paper_table(name)
    if own or request.own_rows is not None:
        paper = with_own_rows(paper, results, request.own_rows or {})
    selection = select(paper, results, request)
    return Table(
        name=name,
        protocol=request.protocol,
        budgets=request.budgets,
        heading=_heading(paper, request, selection),
        columns=paper.columns,
        rows=ranked([_row(paper, row, selection, request.protocol) for row in paper.rows]),
        notes=footnotes(paper, selection, request),
    )


def _heading(paper: PaperTable, request: Request, selection: Selection) -> str:
    title = paper.title
    if paper.paper:
        source, number = paper.name.split("_table")
        title = f"{source.upper()} Table {number}. {title}"
    groups = [group for row in selection.groups.values() for group in row]
    papers_own = {run.role(request.protocol) for group in groups for run in group.runs}
    caveats = []
    if len(request.budgets) > 1:
        caveats.append(f"runs of several budgets: {', '.join(request.budgets)}")
    elif request.budgets[0] in SIZES:
        caveats.append(f"{SIZES[request.budgets[0]]}, not the paper's training")
    elif paper.paper and any(not_as_shipped(group.runs[0]) for group in groups):
        caveats.append("trained in other ways than the paper's, see Budget")
    if request.protocol != "paper" and papers_own != {"paper"}:
        caveats.append(f"scored under protocol {request.protocol}, not the paper's")
    return title + (f" ({'; '.join(caveats)})" if caveats else "")


def _row(table: PaperTable, row: PaperRow, selection: Selection, protocol: str) -> Row:
    """Return a row; where its cells were measured under several settings, one line follows the other."""
    keys = [table.key(row, column) for column in table.columns]
    groups = [selection.groups.get(key, []) if key else [] for key in keys]
    lines = [
        tuple(
            _cell(key, column, printed, members[index] if index < len(members) else None, protocol)
            for key, column, printed, members in zip(keys, table.columns, row.cells, groups, strict=True)
        )
        for index in range(max(1, *map(len, groups)))
    ]
    return Row(row.label, tuple(lines))


def _cell(key: RunKey | None, column: Column, printed: str, group: Group | None, protocol: str) -> Cell:
    unit = column.style.unit
    if group is None:
        return Cell(key, column, printed, (), unit)
    values = [(run, run.value(protocol, column.metric, column.label_class)) for run in group.runs]
    samples = [Sample(run.seed, run.fold, value) for run, value in values if value is not None]
    if unit == "voxel":
        unit = group.runs[0].under(protocol).unit  # one and the same for all runs of a group
    return Cell(key, column, printed, tuple(samples), unit, group)
