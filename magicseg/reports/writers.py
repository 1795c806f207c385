"""Comparison tables as files: Markdown, CSV and LaTeX of one table, and a page with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from magicseg.files import write_text
from magicseg.reports.cells import Table
from magicseg.reports.latex import to_latex
from magicseg.reports.markdown import to_markdown
from magicseg.reports.page import Refused, to_html
from magicseg.reports.records import comparisons_csv, to_csv
from magicseg.reports.results import BUDGETS


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write NAME.md, NAME.csv and NAME.tex, and NAME_comparisons.csv if there are any; return their paths.

    NAME tells a protocol other than paper and a budget other than full, so that no small run passes for a full one.

    Raises:
        UserError: the folder cannot be written to.
    """
    texts = {".md": to_markdown(table), ".csv": to_csv(table), ".tex": to_latex(table)}
    pairs = comparisons_csv(table)
    if pairs:
        texts["_comparisons.csv"] = pairs
    stem = _stem(table.name, table)
    for suffix, text in texts.items():
        write_text(folder / f"{stem}{suffix}", text)
    return [folder / f"{stem}{suffix}" for suffix in texts]


def write_page(tables: Sequence[Table | Refused], unreadable: Sequence[str], folder: Path) -> Path:
    """Write one page with all tables and the runs that no table could read; return its path.

    It is named as in write_table, with NAME tables.

    Raises:
        UserError: the folder cannot be written to.
    """
    made = [table for table in tables if isinstance(table, Table)]
    path = folder / f"{_stem('tables', made[0]) if made else 'tables'}.html"
    write_text(path, to_html(tables, unreadable))
    return path


def _stem(name: str, table: Table) -> str:
    budget = "all_budgets" if len(table.budgets) == len(BUDGETS) else "_".join(table.budgets)
    return "_".join([name, *(part for part in (table.protocol, budget) if part not in ("paper", "full"))])
