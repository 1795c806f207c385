"""The score table that ends a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def score_table(scores: Mapping[str, Any]) -> str:
    """Return a text table of a summary's scores: a block for each protocol, a row for each class, and their mean."""
    return "\n\n".join(_block(role, summary) for role, summary in scores.items())


def _block(role: str, summary: Mapping[str, Any]) -> str:
    unit, counts = summary["unit"], summary["counts"]
    columns = {"dice": "Dice %", "iou": "IoU %", "hd95": f"HD95 {unit}", "asd": f"ASD {unit}", "pq": "PQ %"}
    columns = {metric: heading for metric, heading in columns.items() if metric in summary["mean"]}
    rows = [
        (name, {metric: entry["mean"] for metric, entry in values.items()})
        for name, values in summary["classes"].items()
    ]
    rows = [*rows, ("mean", summary["mean"])] if len(rows) > 1 else rows
    width = max(len(name) for name, _ in rows)
    lines = [
        f"{role} protocol ({summary['protocol']['name']}), {counts['cases']} cases",
        f"  {'':<{width}} " + " ".join(f"{heading:>11}" for heading in columns.values()),
    ]
    for name, values in rows:
        numbers = (_number(values[metric], 1 if metric in ("hd95", "asd") else 100) for metric in columns)
        lines.append(f"  {name:<{width}} " + " ".join(f"{number:>11}" for number in numbers))
    empty = {state: counts[state] for state in ("absent", "missed", "hallucinated") if counts[state]}
    if empty:
        lines.append("  pairs of class and case: " + ", ".join(f"{count} {state}" for state, count in empty.items()))
    return "\n".join(lines)


def _number(value: float | None, scale: float) -> str:
    return "-" if value is None or value != value else f"{scale * value:.2f}"
