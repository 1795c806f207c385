"""A comparison table as lines of text entries: what Markdown and LaTeX have in common."""

from __future__ import annotations

from typing import NamedTuple

from magicseg.reports.cells import Cell, Row, Table
from magicseg.reports.paper_tables import Column

MISSING = "–"
ARROWS = {"up": "↑", "down": "↓"}


class Entry(NamedTuple):
    """A number as text, its rank in its column, its setting's letter and † or ‡."""

    text: str
    rank: int = 0
    mark: str = ""
    verdict: str = ""


class Line(NamedTuple):
    """A line of a table: the row's label (empty if it goes on), what the line holds, and an entry a column."""

    label: str
    title: str
    entries: tuple[Entry, ...]


def layout(table: Table) -> list[Line]:
    """Return the lines of all rows."""
    return [line for row in table.rows for line in _row_lines(row)]


def column_heading(column: Column) -> str:
    """Return a column's name and which way is better."""
    return f"{column.name} {ARROWS[column.style.direction]}"


def measured_text(cell: Cell, show_counts: bool = False) -> str:
    """Return mean ± deviation, the unit where it is not the paper's, and the counts if asked for."""
    if cell.mean is None:
        return MISSING
    spread = f" ± {number(cell.std, cell)}" if cell.std is not None else ""
    unit = "" if cell.comparable else f" {cell.unit}"
    return f"{number(cell.mean, cell)}{spread}{unit}" + (f" ({cell.counts})" if show_counts else "")


def pair_text(cell: Cell) -> str:
    """Return the mean difference from the reference and its interval."""
    if cell.pair is None or cell.pair.comparison is None:
        return MISSING
    each = cell.pair.comparison
    return f"{number(each.difference, cell, '+')} [{number(each.low, cell, '+')}, {number(each.high, cell, '+')}]"


def number(value: float | None, cell: Cell, sign: str = "") -> str:
    """Return a value with the decimals of its column; zero has no minus sign."""
    decimals = cell.column.style.decimals
    return MISSING if value is None else f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"


def _row_lines(row: Row) -> list[Line]:
    """Return the lines of a row: paper, then measured, difference and comparison for each setting measured."""
    printed = tuple(Entry(cell.printed or MISSING, cell.printed_rank) for cell in row.cells)
    lines = [] if row.own else [Line("", "paper", printed)]
    if not row.measured:
        title = "not measured" if row.own else f"paper; measured {MISSING}"
        return [Line(row.label, title, printed)]
    for cells in row.measured:
        lines += _measured_lines(cells, row.own)
    return [lines[0]._replace(label=row.label), *lines[1:]]


def _measured_lines(cells: tuple[Cell, ...], own: bool) -> list[Line]:
    counts = {cell.counts for cell in cells if cell.n}
    differ = len(counts) > 1
    title = "measured" if differ else f"measured, {counts.pop()}"
    measured = tuple(Entry(measured_text(cell, differ), cell.rank, cell.mark) for cell in cells)
    lines = [Line("", title, measured)]
    if not own:
        lines.append(Line("", "difference", tuple(Entry(number(cell.difference, cell, "+")) for cell in cells)))
    references = dict.fromkeys(cell.pair.name for cell in cells if cell.pair and cell.pair.comparison)
    if references:
        minus = tuple(Entry(pair_text(cell), verdict=cell.verdict) for cell in cells)
        lines.append(Line("", f"minus {', '.join(references)}", minus))
    return lines
