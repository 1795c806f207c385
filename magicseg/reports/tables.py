"""The papers' tables with measured numbers beside the printed ones: a pure function of finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from magicseg.reports.footnotes import footnotes
from magicseg.reports.paper_tables import Column, PaperRow, PaperTable, RunKey, paper_table
from magicseg.reports.results import Result
from magicseg.reports.selection import Selection, select


@dataclass(frozen=True)
class Cell:
    """A printed number and what was measured, one value a seed, in ``unit`` (percent, voxel, mm, million, giga)."""

    key: RunKey | None
    column: Column
    printed: str
    values: tuple[float, ...]
    unit: str

    @property
    def n(self) -> int:
        """Number of seeds measured; 0 for a missing cell."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Mean over seeds; it does not depend on their order."""
        return fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation over seeds (divisor n - 1); None for fewer than two."""
        return stdev(self.values) if self.n >= 2 else None

    @property
    def comparable(self) -> bool:
        """Whether measured and printed number have the same unit."""
        return self.unit == self.column.style.unit

    @property
    def difference(self) -> float | None:
        """Measured minus printed; None where nothing was measured, or in another unit."""
        return self.mean - float(self.printed) if self.mean is not None and self.comparable else None


@dataclass(frozen=True)
class Row:
    """A row under its printed label."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A comparison table, ready to be written.

    ``notes`` say how to read it, under which protocol, from which data, code and hardware the measured numbers come,
    what is not shown, and where the paper contradicts itself.
    """

    name: str
    protocol: str
    budget: str
    heading: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def build_table(
    name: str,
    results: Sequence[Result],
    protocol: str = "paper",
    budget: str = "full",
    choices: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """Return a paper's table with mean and standard deviation over seeds in every cell that was measured.

    Args:
        name: magic_table1 to magic_table7, sgdc_table1 to sgdc_table5.
        results: finished runs in any order; those that are not part of the table are ignored.
        protocol: name under which the scores are stored in a run (paper, strict).
        budget: full, cpu or demo; runs of another budget are counted in a note and not shown.
        choices: which runs to take where those of one row differ, e.g. ``{"variant": ["1a2b3c4d"]}``.

    Raises:
        UserError: an unknown name, or runs of one row differ in more than the seed.
    """
    paper = paper_table(name)
    selection = select(paper, results, protocol, budget, choices or {})
    return Table(
        name=name,
        protocol=protocol,
        budget=budget,
        heading=_heading(paper, protocol, budget),
        columns=paper.columns,
        rows=tuple(_row(paper, row, selection, protocol) for row in paper.rows),
        notes=footnotes(paper, selection, protocol, budget),
    )


def _heading(paper: PaperTable, protocol: str, budget: str) -> str:
    source, number = paper.name.split("_table")
    sizes = {"cpu": "CPU-sized runs", "demo": "demonstration runs"}
    caveats = [f"{sizes[budget]}, not the paper's training"] if budget in sizes else []
    caveats += [f"scored under protocol {protocol}, not the paper's"] if protocol != "paper" else []
    return f"{source.upper()} Table {number}. {paper.title}" + "".join(f" ({caveat})" for caveat in caveats)


def _row(table: PaperTable, row: PaperRow, selection: Selection, protocol: str) -> Row:
    cells = []
    for column, printed in zip(table.columns, row.cells, strict=True):
        key = table.key(row, column)
        runs = selection.groups.get(key, []) if key else []
        cells.append(_cell(key, column, printed, runs, protocol))
    return Row(row.label, tuple(cells))


def _cell(key: RunKey | None, column: Column, printed: str, runs: Sequence[Result], protocol: str) -> Cell:
    values = [run.value(protocol, column.metric, column.label_class) for run in runs]
    unit = column.style.unit
    if unit == "voxel" and runs:
        unit = runs[0].scores[protocol].unit  # one and the same for all: selection refuses mixtures
    return Cell(key, column, printed, tuple(value for value in values if value is not None), unit)
