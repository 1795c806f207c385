"""CoNIC's own files: images.npy and labels.npy with all patches, counts.csv, and patch_info.csv with their names."""

from __future__ import annotations

import csv
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import check_arrays
from magicseg.data.sources.arrays import damage, read_npy
from magicseg.data.sources.layouts import case_name, enter
from magicseg.data.sources.source import Source, SourceCase, Volume
from magicseg.errors import UserError

LAYOUT = "CoNIC npy"
KINDS = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
FILES = ("images.npy", "labels.npy", "counts.csv", "patch_info.csv")
MARGIN = 16  # counts.csv leaves out nuclei outside the central 224 x 224 pixels

Files = dict[str, Path]


def index(folder: Path) -> Files:
    """Return those of the four files that are found below ``folder``, by name; none without images and labels."""
    found: Files = {}
    for name in FILES:
        for path in sorted(folder.rglob(name)):
            enter(found, name, path)
    return found if FILES[0] in found and FILES[1] in found else {}


def find(folder: Path, files: Files) -> Source:
    """Return one case a patch, and say where counts.csv does not agree with the maps.

    Raises:
        UserError: a file is damaged, the arrays have other shapes than CoNIC's, or the files differ in length.
    """
    images, labels = read_npy(files["images.npy"]), read_npy(files["labels.npy"])
    _check_shapes(images, labels, files)
    names, notes = _names(files, len(images))
    cases = [_case(name, position, files) for position, name in enumerate(names)]
    notes += _contradictions(labels)
    if "counts.csv" in files:
        notes += _compare_counts(labels, files["counts.csv"])
    return Source(LAYOUT, cases, notes=notes)


def _check_shapes(images: NDArray[np.uint8], labels: NDArray[np.uint16], files: Files) -> None:
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise UserError(
            f"{files['images.npy']}: holds {images.dtype} {images.shape}; expected is uint8 (N, 256, 256, 3)."
        )
    if labels.shape != (*images.shape[:3], 2) or labels.dtype.kind not in "iu":
        raise UserError(
            f"{files['labels.npy']}: holds {labels.dtype} {labels.shape}; expected are whole numbers of shape "
            f"{(*images.shape[:3], 2)}, the nucleus and its kind for each pixel of images.npy."
        )


def _names(files: Files, count: int) -> tuple[list[str], list[str]]:
    """Return the names of the patches, and a note if they are not told."""
    if "patch_info.csv" not in files:
        note = "patch_info.csv is not there: which patches come from one image is unknown, each is its own subject."
        return [f"conic_{position:04d}" for position in range(count)], [note]
    path = files["patch_info.csv"]
    names = [case_name(row[0].strip()) for row in _rows(path, count, columns=1)]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise UserError(f"{path}: {', '.join(twice[:8])} named more than once; each patch needs its own name.")
    return names, []


def _rows(path: Path, count: int, columns: int) -> list[list[str]]:
    """Return the rows of a csv file after its head."""
    with damage(path, "csv"):
        rows = [row for row in csv.reader(path.read_text().splitlines()) if row][1:]
    if len(rows) != count or any(len(row) != columns for row in rows):
        raise UserError(
            f"{path}: has {len(rows)} rows below its head; expected are {count}, one a patch, of {columns} columns."
        )
    return rows


def _case(name: str, position: int, files: Files) -> SourceCase:
    paths = (files["images.npy"], files["labels.npy"])
    facts = {"source": name.partition("_")[0], "patch": position}
    subject = name.rpartition("-")[0] or name
    return SourceCase(name, subject, paths, f"conic npy 1 {position}", partial(read, *paths, position), facts)


def read(images: Path, labels: Path, position: int) -> Volume:
    """Return one patch, [1, 256, 256, 3], with the kind and the number of the nucleus at each pixel.

    Raises:
        UserError: a file is damaged or the kinds go beyond the six.
    """
    image, maps = np.array(read_npy(images)[position]), np.array(read_npy(labels)[position])
    instances, kinds = maps[..., 0], maps[..., 1]
    check_arrays(image, kinds, len(KINDS) + 1, f"{labels}, patch {position}", instances)
    return Volume(image[None], kinds[None].astype(np.uint8), instances=instances[None])


def count_nuclei(instances: NDArray[np.integer], kinds: NDArray[np.integer]) -> list[int]:
    """Return how many nuclei of each kind are seen in a patch, [H, W]; a nucleus has the kind of most of its pixels."""
    number = len(KINDS) + 1
    known = np.where(kinds < number, kinds, 0).astype(np.int64)
    pairs = np.bincount((instances.astype(np.int64) * number + known).ravel(), minlength=number)
    table = np.pad(pairs, (0, -len(pairs) % number)).reshape(-1, number)[1:, 1:]
    seen = table[table.any(axis=1)]
    return np.bincount(seen.argmax(axis=1), minlength=len(KINDS)).tolist() if len(seen) else [0] * len(KINDS)


def _contradictions(labels: NDArray[np.uint16]) -> list[str]:
    """Return a note if pixels have a nucleus and no kind, or a kind and no nucleus."""
    wrong = [i for i, maps in enumerate(labels) if ((maps[..., 0] > 0) != (maps[..., 1] > 0)).any()]
    return [f"Nuclei and kinds cover different pixels in {_patches(wrong, len(labels))}."] if wrong else []


def _compare_counts(labels: NDArray[np.uint16], path: Path) -> list[str]:
    """Return a note if the counts are not those of the maps in the central region."""
    stated = [[cell.strip() for cell in row] for row in _rows(path, len(labels), columns=len(KINDS))]
    centre, whole = slice(MARGIN, -MARGIN), slice(None)
    wrong = _differing(stated, labels, centre)
    if not wrong:
        return []
    note = f"counts.csv differs from the maps' central 224 x 224 pixels in {_patches(wrong, len(labels))}"
    return [f"{note}; it counts the whole patches." if not _differing(stated, labels, whole) else f"{note}."]


def _differing(stated: list[list[str]], labels: NDArray[np.uint16], crop: slice) -> list[int]:
    counts = (count_nuclei(maps[crop, crop, 0], maps[crop, crop, 1]) for maps in labels)
    return [i for i, (row, found) in enumerate(zip(stated, counts, strict=True)) if row != list(map(str, found))]


def _patches(numbers: list[int], count: int) -> str:
    listed = ", ".join(map(str, numbers[:4]))
    return f"{len(numbers)} of {count} patches (number {listed}{' ...' if len(numbers) > 4 else ''})"
