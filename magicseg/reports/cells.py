"""What a comparison table consists of: printed and measured numbers, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import NamedTuple

from magicseg.reports.paper_tables import Column, RunKey
from magicseg.reports.results import FOLDS
from magicseg.reports.settings import Group
from magicseg.reports.statistics import SIGNIFICANCE, Comparison

HEADINGS = ("How to read it", "Measured numbers", "Comparisons", "Not shown", "In the paper")
"""Under what the notes of a table stand, in this order."""


class Sample(NamedTuple):
    """One run's score, in the unit of its cell."""

    seed: int
    fold: int | None
    value: float


@dataclass(frozen=True)
class Pair:
    """A cell compared with the same column of another row: a comparison, or the reason why there is none.

    ``reference`` is the label of that row, ``reference_mark`` the letter of its setting.
    ``p_holm`` is adjusted for all comparisons of the table, 1 without a comparison; ``skipped`` counts cases that a
    protocol leaves out of ``cases``. Where the runs do not tell the subjects (``subjects_known``), each case counts as
    one.
    """

    reference: str
    reference_mark: str = ""
    comparison: Comparison | None = None
    reason: str = ""
    cases: int = 0
    skipped: int = 0
    subjects_known: bool = True
    p_holm: float = 1.0

    @property
    def name(self) -> str:
        """The reference's label, with its letter where settings differ."""
        return f"{self.reference} [{self.reference_mark}]" if self.reference_mark else self.reference

    @property
    def significant(self) -> bool:
        """Whether the adjusted p-value is small."""
        return self.p_holm < SIGNIFICANCE

    @property
    def direction(self) -> int:
        """1 where the row is significantly above its reference, -1 below; 0 if neither, or mean and ranks disagree."""
        if self.comparison is None or not self.significant or not self.comparison.agrees:
            return 0
        return 1 if self.comparison.rank_difference > 0 else -1


@dataclass(frozen=True)
class Cell:
    """A printed number and what was measured, in ``unit`` (percent, voxel, mm, million, giga).

    ``key`` says which runs measure it, ``group`` which did; None where a row is quoted, or not measured. ``printed`` is
    empty in rows that are not the paper's. A rank is 1 for the best of its column, 2 for the second, 0 for the others.
    """

    key: RunKey | None
    column: Column
    printed: str
    samples: tuple[Sample, ...]
    unit: str
    group: Group | None = None
    rank: int = 0
    printed_rank: int = 0
    pair: Pair | None = None

    @property
    def values(self) -> tuple[float, ...]:
        """One number a seed, in the order of the seeds: a run's score, or the mean over the seed's folds."""
        seeds = dict.fromkeys(sample.seed for sample in self.samples)
        return tuple(fmean(sample.value for sample in self.samples if sample.seed == seed) for seed in seeds)

    @property
    def n(self) -> int:
        """Number of seeds measured; 0 for a missing cell."""
        return len({sample.seed for sample in self.samples})

    @property
    def fold_values(self) -> tuple[float, ...]:
        """One number a fold, the mean over its seeds; empty where there are no folds."""
        folds = sorted({sample.fold for sample in self.samples if sample.fold is not None})
        return tuple(fmean(sample.value for sample in self.samples if sample.fold == fold) for fold in folds)

    @property
    def mean(self) -> float | None:
        """Mean over seeds; it does not depend on their order."""
        return fmean(self.values) if self.samples else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation (divisor n - 1) over folds where there are any, else over seeds.

        None for fewer than two, and for numbers that are counted rather than measured.
        """
        spread = self.fold_values or self.values
        return stdev(spread) if len(spread) >= 2 and self.column.metric != "parameters" else None

    @property
    def folds(self) -> tuple[int, ...]:
        """Number of folds of each seed; empty where there are no folds."""
        seeds = [sample.seed for sample in self.samples if sample.fold is not None]
        return tuple(seeds.count(seed) for seed in dict.fromkeys(seeds))

    @property
    def complete(self) -> bool:
        """Whether no fold lacks."""
        return all(number == FOLDS for number in self.folds)

    @property
    def counts(self) -> str:
        """Number of seeds, and of folds where there are any, in words."""
        if not self.folds:
            return f"n = {self.n}"
        found = "–".join(str(number) for number in sorted({min(self.folds), max(self.folds)}))
        return f"n = {self.n}, {FOLDS} folds" if self.complete else f"n = {self.n}, {found} of {FOLDS} folds"

    @property
    def mark(self) -> str:
        """The letter of the setting; empty where all rows have the same."""
        return self.group.mark if self.group else ""

    @property
    def comparable(self) -> bool:
        """Whether measured and printed number have the same unit."""
        return self.unit == self.column.style.unit

    @property
    def difference(self) -> float | None:
        """Measured minus printed; None where one of them is missing or has another unit."""
        return self.mean - float(self.printed) if self.mean is not None and self.printed and self.comparable else None

    @property
    def verdict(self) -> str:
        """† where the cell is significantly better than what it is compared with, ‡ where it is worse."""
        direction = self.pair.direction if self.pair else 0
        if direction == 0:
            return ""
        return "†" if (direction > 0) == (self.column.style.direction == "up") else "‡"


@dataclass(frozen=True)
class Row:
    """A row under its printed label, or under "backbone conv" where it is not the paper's.

    ``lines`` holds the cells once for each setting that was measured; at least once.
    """

    label: str
    lines: tuple[tuple[Cell, ...], ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of the first setting."""
        return self.lines[0]

    @property
    def measured(self) -> tuple[tuple[Cell, ...], ...]:
        """The lines with a measured number."""
        return tuple(line for line in self.lines if any(cell.n for cell in line))

    @property
    def own(self) -> bool:
        """Whether the row is not the paper's."""
        return not any(cell.printed for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """A comparison table, ready to be written.

    ``notes`` holds sentences by heading: how to read it, under which protocol, from which data, code and hardware the
    measured numbers come, what is not shown, and where the paper contradicts itself.
    """

    name: str
    protocol: str
    budgets: tuple[str, ...]
    heading: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: dict[str, tuple[str, ...]]

    def with_notes(self, heading: str, sentences: Sequence[str]) -> Table:
        """Return the table with sentences added under one of the ``HEADINGS``."""
        added = self.notes | {heading: (*self.notes.get(heading, ()), *sentences)}
        return replace(self, notes={each: added[each] for each in HEADINGS if added.get(each)})
