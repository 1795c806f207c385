"""Comparison tables as Markdown (also for the terminal), CSV in long form, and LaTeX."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from magicseg.files import write_text
from magicseg.reports.paper_tables import Column
from magicseg.reports.tables import Cell, Row, Table

MISSING = "–"
ARROWS = {"up": "↑", "down": "↓"}
LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write NAME.md, NAME.csv and NAME.tex to ``folder`` and return their paths.

    NAME tells a protocol other than paper and a budget other than full, so that no small run passes for a full one.

    Raises:
        UserError: the folder cannot be written to.
    """
    name = "_".join([table.name, *(part for part in (table.protocol, table.budget) if part not in ("paper", "full"))])
    texts = {".md": to_markdown(table), ".csv": to_csv(table), ".tex": to_latex(table)}
    for suffix, text in texts.items():
        write_text(folder / f"{name}{suffix}", text)
    return [folder / f"{name}{suffix}" for suffix in texts]


def to_markdown(table: Table) -> str:
    """Return the table with aligned columns, readable rendered and as it is, and its notes as a list."""
    lines = [["", "", *map(_heading, table.columns)], *_lines(table)]
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    rows = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([f"## {table.heading}", "", *rows, "", *notes, ""])


def to_csv(table: Table) -> str:
    """Return one line a cell; missing numbers are empty, others are in the printed unit with ten digits."""
    text = io.StringIO()
    records = [_record(table, row, cell) for row in table.rows for cell in row.cells]
    writer = csv.DictWriter(text, records[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def to_latex(table: Table) -> str:
    """Return a table* environment (packages booktabs and adjustbox) with the notes below it."""
    body = [" & ".join(map(_latex_cell, line)) + r" \\" for line in _lines(table)]
    header = " & ".join(_escape(text) for text in ["", "", *map(_heading, table.columns)])
    notes = [f"{_escape(note)}\\par" for note in table.notes]
    lines = [
        r"% needs \usepackage{booktabs,adjustbox}",
        r"\begin{table*}",
        rf"\caption{{{_escape(table.heading)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\centering",
        r"\begin{adjustbox}{max width=\linewidth, max totalheight=0.7\textheight}",
        rf"\begin{{tabular}}{{ll{'l' * len(table.columns)}}}",
        r"\toprule",
        rf"{header} \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{adjustbox}",
        r"\par\medskip\raggedright\footnotesize",
        *notes,
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _lines(table: Table) -> list[list[str]]:
    return [line for row in table.rows for line in _row_lines(row)]


def _row_lines(row: Row) -> list[list[str]]:
    """Return the lines of a row: paper, measured and difference, or only the first where nothing was measured."""
    printed = [cell.printed for cell in row.cells]
    counts = {cell.n for cell in row.cells if cell.n}
    if not counts:
        return [[row.label, f"paper; measured {MISSING}", *printed]]
    differ = len(counts) > 1
    title = "measured" if differ else f"measured, n = {counts.pop()}"
    return [
        [row.label, "paper", *printed],
        ["", title, *(_measured(cell, differ) for cell in row.cells)],
        ["", "difference", *(_number(cell.difference, cell, "+") for cell in row.cells)],
    ]


def _measured(cell: Cell, show_n: bool) -> str:
    if cell.mean is None:
        return MISSING
    spread = f" ± {_number(cell.std, cell)}" if cell.std is not None else ""
    unit = "" if cell.comparable else f" {cell.unit}"
    return f"{_number(cell.mean, cell)}{spread}{unit}" + (f" (n = {cell.n})" if show_n else "")


def _number(value: float | None, cell: Cell, sign: str = "") -> str:
    return MISSING if value is None else f"{value:{sign}.{cell.column.style.decimals}f}"


def _heading(column: Column) -> str:
    return f"{column.name} {ARROWS[column.style.direction]}"


def _record(table: Table, row: Row, cell: Cell) -> dict[str, object]:
    style = cell.column.style
    dataset, backbone, conv = cell.key or ("", "", "")
    return {
        "table": table.name,
        "row": row.label,
        "column": cell.column.name,
        "paper": cell.printed,
        "measured_mean": _exact(cell.mean),
        "measured_std": _exact(cell.std),
        "n": cell.n,
        "difference": _exact(cell.difference),
        "unit": style.unit if cell.comparable else f"{style.unit} (measured in {cell.unit})",
        "direction": style.direction,
        "dataset": dataset,
        "backbone": backbone,
        "conv": conv,
        "metric": cell.column.metric,
        "class": cell.column.label_class,
        "protocol": table.protocol,
        "budget": table.budget,
    }


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _latex_cell(text: str) -> str:
    return f"${text}$" if text.startswith(("+", "-")) else _escape(text)


def _escape(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
