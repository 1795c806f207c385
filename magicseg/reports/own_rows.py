"""Rows of one's own: convolutions and backbones below a paper's rows, or all that was run on a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from magicseg.reports.paper_tables import Column, PaperRow, PaperTable, RunKey
from magicseg.reports.results import Result

OWN = "own_"
SCORES = {"mDice": "dice", "mIoU": "iou", "HD95": "hd95", "ASD": "asd", "PQ": "pq"}


def own_tables(results: Sequence[Result]) -> list[str]:
    """Return the name of the table of each data set that has results, e.g. own_acdc."""
    return sorted({f"{OWN}{result.key.dataset}" for result in results})


def own_table(name: str, results: Sequence[Result], protocol: str) -> PaperTable:
    """Return the table of all that was run on the data set in ``name``, still without rows.

    Its columns are the scores that any of the runs has, averaged over classes, Dice of each class, and parameters.
    """
    dataset = name.removeprefix(OWN)
    runs = [run for run in results if run.key.dataset == dataset and run.role(protocol)]
    classes = list(dict.fromkeys(label for run in runs for label in run.under(protocol).classes))
    scores = {"mDice": "dice"} | {
        heading: metric
        for heading, metric in SCORES.items()
        if any(run.value(protocol, metric, "mean") is not None for run in runs)
    }
    columns = [Column(heading, metric, "mean", dataset, None) for heading, metric in scores.items()]
    columns += [Column(label, "dice", label, dataset, None) for label in classes if len(classes) > 1]
    columns.append(Column("parameters (M)", "parameters", "mean", dataset, None))
    return PaperTable(name, "", f"All that was run on {dataset}", "", tuple(columns), (), ())


def with_own_rows(table: PaperTable, results: Sequence[Result], wanted: Mapping[str, Sequence[str]]) -> PaperTable:
    """Return the table with a row for each backbone and convolution that has results and no row yet.

    Args:
        table: the paper's table.
        results: all finished runs.
        wanted: allowed names of "backbone" and "conv"; what is not named is not restricted.
    """
    there = {table.key(row, column) for row in table.rows for column in table.columns}
    keys = {result.key for result in results if _fits(result.key, wanted)} - there
    ordered = sorted(keys, key=lambda key: (key.backbone, key.conv))
    rows = {row.label: row for key in ordered if _measures(row := _own_row(table, key), table, keys)}
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
