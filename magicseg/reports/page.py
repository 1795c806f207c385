"""All comparison tables on one page of HTML that needs nothing else: no script, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from magicseg.reports.cells import Cell, Row, Table
from magicseg.reports.layout import ARROWS, MISSING, measured_text, number, pair_text
from magicseg.reports.paper_tables import Column, PaperTable, paper_table, table_names

LEGEND = (
    "Each measured number is a mean ± standard deviation; below it stands its difference from the paper and, where "
    "rows were compared, from the reference row with the 95 % interval. Point at a number to see its seeds."
)
CLASSES = {0: "", 1: " best", 2: " second"}


@dataclass(frozen=True)
class Refused:
    """A table that could not be made, and why."""

    name: str
    reason: str


def to_html(tables: Sequence[Table | Refused], unreadable: Sequence[str] = ()) -> str:
    """Return a page with links between the tables; each cell tells its seeds' values when pointed at.

    Args:
        tables: what to show, in this order.
        unreadable: sentences about runs that are in no table.
    """
    style = resources.files("magicseg.reports").joinpath("page.css").read_text("utf-8")
    links = "".join(f'<a href="#{table.name}" title="{_title(table)}">{_short(table.name)}</a>' for table in tables)
    sections = "\n".join(_section(table) if isinstance(table, Table) else _refused(table) for table in tables)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>magicseg: measured beside printed</title>
<style>
{style}</style>
</head>
<body>
<header><strong>magicseg</strong><nav>{links}</nav></header>
<main>
<h1>Measured beside printed</h1>
<p class="legend">{LEGEND}</p>
{_summary(tables)}
{_list(unreadable)}
{sections}
</main>
</body>
</html>
"""


def _short(name: str) -> str:
    """Return "MAGIC 2" for magic_table2."""
    source, number_ = name.split("_table")
    return f"{source.upper()} {number_}"


def _title(table: Table | Refused) -> str:
    return escape(paper_table(table.name).title)


def _summary(tables: Sequence[Table | Refused]) -> str:
    """Return a list of all tables and how much of each is measured."""
    lines = []
    for table in tables:
        if isinstance(table, Table):
            count = f"{sum(bool(row.measured) for row in table.rows)} of {len(table.rows)} rows"
        else:
            count = "refused"
        lines.append(
            f'<tr><th><a href="#{table.name}">{_short(table.name)}</a></th>'
            f"<td>{_title(table)}</td><td>{count}</td></tr>"
        )
    return f'<table class="summary"><tbody>{"".join(lines)}</tbody></table>'


def _refused(table: Refused) -> str:
    return (
        f'<section id="{table.name}"><h2>{_short(table.name)}. {_title(table)}</h2>'
        f'<p class="refused">{escape(table.reason)}</p></section>'
    )


def _section(table: Table) -> str:
    columns = "".join(f'<th colspan="2" scope="colgroup">{_column(column)}</th>' for column in table.columns)
    kinds = '<th scope="col">paper</th><th scope="col">measured</th>' * len(table.columns)
    rows = "\n".join(line for row in table.rows for line in _lines(row))
    return f"""<section id="{table.name}">
<h2>{escape(table.heading)}</h2>
{_related(table)}
<div class="scroll"><table class="numbers">
<thead><tr><th rowspan="2"></th>{columns}</tr><tr>{kinds}</tr></thead>
<tbody>
{rows}
</tbody></table></div>
{_notes(table)}
</section>"""


def _column(column: Column) -> str:
    return f'{escape(column.name)}<span class="arrow">{ARROWS[column.style.direction]}</span>'


def _lines(row: Row) -> list[str]:
    """Return a line for each setting that was measured, the printed numbers spanning them all."""
    lines = row.measured or row.lines[:1]
    span = f' rowspan="{len(lines)}"' if len(lines) > 1 else ""
    name = f'<th scope="row"{span}>{escape(row.label)}</th>'
    kind = f' class="{"own" if row.own else "measured" if row.measured else "unmeasured"}"'
    html = []
    for index, cells in enumerate(lines):
        numbers = "".join(("" if index else _printed(cell, span)) + _measured(cell) for cell in cells)
        html.append(f"<tr{kind}>{'' if index else name}{numbers}</tr>")
    return html


def _printed(cell: Cell, span: str) -> str:
    return f'<td class="paper{CLASSES[cell.printed_rank]}"{span}>{cell.printed or MISSING}</td>'


def _measured(cell: Cell) -> str:
    if not cell.n:
        return f'<td class="ours missing">{MISSING}</td>'
    mark = f"<sup>{cell.mark}</sup>" if cell.mark else ""
    lines = [f"<span>{escape(measured_text(cell))}</span>{mark}"]
    if cell.difference is not None:
        lines.append(f"<small{_better(cell)}>{_signed(number(cell.difference, cell, '+'))}</small>")
    if cell.pair and cell.pair.comparison:
        lines.append(f"<small>{_signed(pair_text(cell))}{cell.verdict}</small>")
    return f'<td class="ours{CLASSES[cell.rank]}" title="{escape(_tooltip(cell))}">{"".join(lines)}</td>'


def _signed(text: str) -> str:
    """Return numbers with minus signs in place of hyphens, which are narrower than digits."""
    return text.replace("-", "−")


def _better(cell: Cell) -> str:
    """Return the class of a difference from the paper that is more than rounding."""
    shown = round(cell.difference or 0.0, cell.column.style.decimals)
    if shown == 0:
        return ""
    return ' class="better"' if (shown > 0) == (cell.column.style.direction == "up") else ' class="worse"'


def _tooltip(cell: Cell) -> str:
    """Return a cell's values by seed and by fold, what it is compared with, and what its numbers rest on."""
    lines = [f"{cell.column.name} in {cell.unit}, {cell.counts}"]
    seeds = dict.fromkeys(sample.seed for sample in cell.samples)
    for seed, value in zip(seeds, cell.values, strict=True):
        folds = [f"fold {each.fold}: {number(each.value, cell)}" for each in cell.samples if each.seed == seed]
        detail = f" ({', '.join(folds)})" if cell.fold_values else ""
        lines.append(f"seed {seed}: {number(value, cell)}{detail}")
    if cell.pair:
        each = cell.pair.comparison
        numbers = f"{pair_text(cell)}, p = {each.p_value:.2g}, Holm {cell.pair.p_holm:.2g}" if each else ""
        lines.append(f"minus {cell.pair.name}: {numbers}" if each else f"not compared: {cell.pair.reason}")
    if cell.group:
        lines.append(", ".join(f"{name} {value}" for name, value in cell.group.setting._asdict().items()))
    return "\n".join(lines)


def _related(table: Table) -> str:
    """Return links to the tables that show some of the same runs."""
    own = _keys(paper_table(table.name))
    papers = [name for name in table_names() if name != table.name and own & _keys(paper_table(name))]
    links = ", ".join(f'<a href="#{name}">{_short(name)}</a>' for name in papers)
    return f'<p class="related">Some of these runs are also in {links}.</p>' if links else ""


def _keys(table: PaperTable) -> set[object]:
    return {key for row in table.rows for column in table.columns if (key := table.key(row, column))}


def _notes(table: Table) -> str:
    return "\n".join(f"<h3>{escape(heading)}</h3>\n{_list(sentences)}" for heading, sentences in table.notes.items())


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>" if sentences else ""
