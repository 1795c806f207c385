"""The results tables of the MAGIC and SGDC papers as printed: what every measured number is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import yaml

from magicseg.errors import choose

YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times as fast, but not everywhere


@dataclass(frozen=True)
class Metric:
    """How a stored score is printed: ``scale`` times the stored number is in ``unit``; ``direction`` is up or down."""

    unit: str
    direction: str
    scale: float = 1.0
    decimals: int = 2


PERCENT = Metric("percent", "up", scale=100)
METRICS: Mapping[str, Metric] = {
    "dice": PERCENT,
    "iou": PERCENT,
    "accuracy": PERCENT,
    "pq": PERCENT,
    "hd95": Metric("voxel", "down"),
    "asd": Metric("voxel", "down"),
    "parameters": Metric("million", "down", scale=1e-6),
    "gflops": Metric("giga", "down", decimals=3),
}
"""Every metric of the papers' columns; scores are stored as fractions, voxels and plain counts."""


class RunKey(NamedTuple):
    """What the runs behind one cell have in common."""

    dataset: str
    backbone: str
    conv: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True)
class Column:
    """A printed column: its heading, the score in it (``label_class`` is a class name or "mean"), and the data set."""

    name: str
    metric: str
    label_class: str
    dataset: str
    backbone: str | None

    @property
    def style(self) -> Metric:
        """Unit, scale and direction of the numbers in this column."""
        return METRICS[self.metric]


@dataclass(frozen=True)
class PaperRow:
    """A printed row; one quoted from the literature has neither backbone nor convolution and cannot be run."""

    label: str
    backbone: str | None
    conv: str | None
    cells: tuple[str, ...]


@dataclass(frozen=True)
class PaperTable:
    """A printed table and the known inconsistencies of its paper that touch it."""

    name: str
    paper: str
    title: str
    evaluated_on: str
    columns: tuple[Column, ...]
    rows: tuple[PaperRow, ...]
    notes: tuple[str, ...]

    def key(self, row: PaperRow, column: Column) -> RunKey | None:
        """Return which runs measure a cell; None for a row that is quoted from the literature."""
        backbone = column.backbone or row.backbone
        return RunKey(column.dataset, backbone, row.conv) if backbone and row.conv else None


def table_names() -> list[str]:
    """Return the names of all tables: magic_table1 to magic_table7, sgdc_table1 to sgdc_table5."""
    return list(_content()["tables"])


@cache
def paper_table(name: str) -> PaperTable:
    """Return a table by name.

    Raises:
        UserError: there is no such table; the text names the nearest.
    """
    choose("table", name, table_names())
    content, table = _content(), _content()["tables"][name]
    return PaperTable(
        name=name,
        paper=content["papers"][name.split("_")[0]],
        title=table["title"],
        evaluated_on=table["evaluated_on"],
        columns=tuple(_column(column, table) for column in table["columns"]),
        rows=_rows(table["rows"]),
        notes=tuple(note["text"] for note in content["notes"] if name in note["tables"]),
    )


def _column(column: Mapping[str, str], table: Mapping[str, Any]) -> Column:
    dataset = column.get("dataset") or table["dataset"]
    return Column(column["name"], column["metric"], column.get("class", "mean"), dataset, column.get("backbone"))


def _rows(rows: Sequence[Mapping[str, str]]) -> tuple[PaperRow, ...]:
    """Return the rows; a label such as "+DCD" gets the name of the model above that it is added to."""
    base, complete = "", []
    for row in rows:
        label = row["label"]
        if label.startswith("+"):
            label = f"{base} {label}"
        else:
            base = label
        complete.append(PaperRow(label, row.get("backbone"), row.get("conv"), tuple(row["cells"].split())))
    return tuple(complete)


@cache
def _content() -> dict[str, Any]:
    text = resources.files("magicseg.reports").joinpath("paper_tables.yaml").read_text("utf-8")
    return yaml.load(text, YAML_LOADER)
