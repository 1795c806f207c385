"""Rows of one's own: convolutions and backbones that are not in the paper, below its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from magicseg.reports.paper_tables import PaperRow, PaperTable, RunKey
from magicseg.reports.results import Result


def with_own_rows(table: PaperTable, results: Sequence[Result], wanted: Mapping[str, Sequence[str]]) -> PaperTable:
    """Return the table with a row for each backbone and convolution that has results and no row yet.

    Args:
        table: the paper's table.
        results: all finished runs.
        wanted: allowed names of "backbone" and "conv"; what is not named is not restricted.
    """
    there = {table.key(row, column) for row in table.rows for column in table.columns}
    keys = {result.key for result in results if _fits(result.key, wanted)} - there
    rows = {row.label: row for key in sorted(keys) if _measures(row := _own_row(table, key), table, keys)}
    return replace(table, rows=(*table.rows, *rows.values()))


def _fits(key: RunKey, wanted: Mapping[str, Sequence[str]]) -> bool:
    return all(getattr(key, name) in names for name, names in wanted.items())


def _own_row(table: PaperTable, key: RunKey) -> PaperRow:
    """Return an unprinted row; it is a convolution alone where the columns name their backbones."""
    unprinted = ("",) * len(table.columns)
    if table.columns[0].backbone:
        return PaperRow(key.conv, None, key.conv, unprinted)
    return PaperRow(f"{key.backbone} {key.conv}", key.backbone, key.conv, unprinted)


def _measures(row: PaperRow, table: PaperTable, keys: set[RunKey]) -> bool:
    return any(table.key(row, column) in keys for column in table.columns)
