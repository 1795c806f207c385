"""The score table that ends a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def score_table(scores: Mapping[str, Any]) -> str:
    """Return a text table of a summary's scores: a block for each protocol, a row for each class and their mean."""
    return "\n\n".join(_block(role, summary) for role, summary in scores.items())


def _block(role: str, summary: Mapping[str, Any]) -> str:
    unit, counts = summary["unit"], summary["counts"]
    lines = [
        f"{role} protocol ({summary['protocol']['name']}), {counts['cases']} cases",
        f"  {'':<10} {'Dice %':>8} {'IoU %':>8} {f'HD95 {unit}':>12} {f'ASD {unit}':>12}",
    ]
    rows = [
        (name, {metric: entry["mean"] for metric, entry in values.items()})
        for name, values in summary["classes"].items()
    ]
    for name, values in [*rows, ("mean", summary["mean"])]:
        overlap = " ".join(f"{_number(values[metric], 100):>8}" for metric in ("dice", "iou"))
        distance = " ".join(f"{_number(values[metric], 1):>12}" for metric in ("hd95", "asd"))
        lines.append(f"  {name:<10} {overlap} {distance}")
    empty = {state: counts[state] for state in ("absent", "missed", "hallucinated") if counts[state]}
    if empty:
        lines.append("  classes " + ", ".join(f"{state} in {count}" for state, count in empty.items()) + " cases")
    return "\n".join(lines)


def _number(value: float | None, scale: float) -> str:
    return "-" if value is None or value != value else f"{scale * value:.2f}"
