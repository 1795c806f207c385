"""Comparison tables as CSV for other programs: one line a number, plain columns."""

from __future__ import annotations

from collections.abc import Sequence

from magicseg.files import csv_text
from magicseg.reports.cells import Cell, Pair, Row, Table
from magicseg.reports.settings import Setting

FIELD_NAMES = {"protocol": "protocol_rules"}
"""Columns for fields of Setting whose names are taken."""
VERDICTS = {"†": "better", "‡": "worse", "": "undecided"}


def to_csv(table: Table) -> str:
    """Return a line for each cell, and one more for each further setting that was measured.

    Missing numbers are empty, others are in the printed unit with ten digits; ``seeds`` and ``values`` hold one entry a
    seed, separated by blanks.
    """
    return _csv([_record(table, row, cell) for row in table.rows for line in row.lines for cell in line])


def comparisons_csv(table: Table) -> str:
    """Return a line for each compared cell; empty where nothing was compared.

    ``difference`` is the row minus its reference with the bounds of its interval, in ``unit`` (percent points for
    scores in percent); ``informative_subjects`` are those whose scores differ; ``reason`` says why there is no
    comparison.
    """
    cells = [(row, cell, cell.pair) for row in table.rows for line in row.lines for cell in line if cell.pair]
    return _csv([_pair_record(table, row, cell, pair) for row, cell, pair in cells]) if cells else ""


def _csv(records: Sequence[dict[str, object]]) -> str:
    return csv_text(records, records[0], lineterminator="\n")


def _identity(table: Table, row: Row, cell: Cell) -> dict[str, object]:
    dataset, backbone, conv = cell.key or (cell.column.dataset, "", "")
    return {
        "table": table.name,
        "row": row.label,
        "column": cell.column.name,
        "metric": cell.column.metric,
        "class": cell.column.label_class,
        "dataset": dataset,
        "backbone": backbone,
        "conv": conv,
        "protocol": table.protocol,
    }


def _record(table: Table, row: Row, cell: Cell) -> dict[str, object]:
    style = cell.column.style
    setting = cell.group.setting._asdict() if cell.group else dict.fromkeys(Setting._fields, "")
    return _identity(table, row, cell) | {
        "unit": style.unit,
        "measured_unit": cell.unit,
        "direction": style.direction,
        "paper": cell.printed,
        "paper_rank": cell.printed_rank or "",
        "measured_mean": _exact(cell.mean),
        "measured_std": _exact(cell.std),
        "std_over": "" if cell.std is None else "folds" if cell.fold_values else "seeds",
        "n": cell.n,
        "difference": _exact(cell.difference),
        "measured_rank": cell.rank or "",
        "seeds": " ".join(str(seed) for seed in dict.fromkeys(sample.seed for sample in cell.samples)),
        "values": " ".join(map(_exact, cell.values)),
        "folds": " ".join(map(_exact, cell.fold_values)),
        "mark": cell.mark,
        **{FIELD_NAMES.get(name, name): value for name, value in setting.items()},
    }


def _pair_record(table: Table, row: Row, cell: Cell, pair: Pair) -> dict[str, object]:
    each = pair.comparison
    return _identity(table, row, cell) | {
        "mark": cell.mark,
        "reference": pair.reference,
        "reference_mark": pair.reference_mark,
        "unit": cell.unit,
        "difference": _exact(each.difference) if each else "",
        "low": _exact(each.low) if each else "",
        "high": _exact(each.high) if each else "",
        "confidence": each.confidence if each else "",
        "p": _exact(each.p_value) if each else "",
        "p_holm": _exact(pair.p_holm) if each else "",
        "subjects": each.subjects if each else "",
        "cases": pair.cases if each else "",
        "informative_subjects": each.informative if each else "",
        "skipped_cases": pair.skipped if each else "",
        "seeds": each.seeds[0] if each else "",
        "reference_seeds": each.seeds[1] if each else "",
        "verdict": VERDICTS[cell.verdict] if each else "",
        "reason": pair.reason,
    }


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
