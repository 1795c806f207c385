"""How large each class of a label map is, and the table of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from magicseg.data.case import Label, Spacing
from magicseg.files import csv_text, write_text

COLUMNS = ("file", "label", "class", "voxels", "ml", "mm2", "image")

Rows = list[dict[str, str]]


def measure(file: str, image: str, label: Label, classes: Sequence[str], spacing: Spacing | None) -> Rows:
    """Return a row a class: its voxels, and of volumes the size in ml, of single slices in mm^2.

    Args:
        file: what the rows are called.
        image: what tells the image from others, e.g. the hash of its file.
        label: [D, H, W].
        classes: names of the labels 1, 2, ...
        spacing: of D, H, W in mm; None leaves the sizes empty.
    """
    counts = np.bincount(label.ravel(), minlength=len(classes) + 1)
    ml = spacing[0] * spacing[1] * spacing[2] / 1000 if spacing and len(label) > 1 else None
    mm2 = spacing[1] * spacing[2] if spacing and len(label) == 1 else None

    def size(count: int, unit: float | None) -> str:
        return "" if unit is None else f"{count * unit:.6g}"

    return [
        dict(zip(COLUMNS, (file, str(index), name, str(n), size(n, ml), size(n, mm2), image), strict=True))
        for index, name in enumerate(classes, start=1)
        for n in [int(counts[index])]
    ]


def read_rows(path: Path) -> dict[str, Rows]:
    """Return file -> its rows of a table that ``write_rows`` wrote; nothing where there is none."""
    rows: dict[str, Rows] = {}
    if path.is_file():
        with path.open(newline="") as table:
            for row in csv.DictReader(table):
                rows.setdefault(row["file"], []).append(row)
    return rows


def write_rows(path: Path, rows: Mapping[str, Rows]) -> None:
    """Write the table, files in alphabetical order."""
    write_text(path, csv_text((row for file in sorted(rows) for row in rows[file]), COLUMNS))
