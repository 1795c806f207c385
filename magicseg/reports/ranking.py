"""The best and the second number of each column, among the measured and among the printed ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from magicseg.reports.cells import Cell, Row


def place(value: float | None, values: Iterable[float], direction: str) -> int:
    """Return 1 if ``value`` is the best of ``values``, 2 if it is the second, else 0; equal values share a place.

    All are 0 where there are fewer than two different values: nothing is best alone.

    >>> [place(value, [3.0, 5.0, 5.0, 4.0], "up") for value in (3.0, 5.0, 5.0, 4.0, None)]
    [0, 1, 1, 2, 0]
    """
    best = sorted(set(values), reverse=direction == "up")[:2]
    return best.index(value) + 1 if len(best) == 2 and value in best else 0


def ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with the ranks of their cells.

    Measured numbers are ranked as they are shown, rounded, and only among those that rest on the same test in the same
    unit: a Dice from other data is no competitor.
    """
    measured: dict[Hashable, list[float]] = defaultdict(list)
    printed: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for cell in row.cells:
            printed[cell.column.name] += [float(cell.printed)] if cell.printed else []
        for cell in (cell for line in row.lines for cell in line):
            measured[_contest(cell)] += [shown] if (shown := _shown(cell)) is not None else []

    def with_ranks(cell: Cell) -> Cell:
        direction = cell.column.style.direction
        on_paper = float(cell.printed) if cell.printed else None
        return replace(
            cell,
            rank=place(_shown(cell), measured[_contest(cell)], direction),
            printed_rank=place(on_paper, printed[cell.column.name], direction),
        )

    return tuple(replace(row, lines=tuple(tuple(map(with_ranks, line)) for line in row.lines)) for row in rows)


def _contest(cell: Cell) -> Hashable:
    """Return what the competitors of a measured cell have in common with it."""
    return cell.column.name, cell.unit, cell.group and cell.group.setting.test


def _shown(cell: Cell) -> float | None:
    """Return the number to rank; None where none is measured, or folds lack, which is another test."""
    return None if cell.mean is None or not cell.complete else round(cell.mean, cell.column.style.decimals)
