"""Synapse as the BTCV challenge gives it: CT volumes in Hounsfield units and 13 organs, in NIfTI files."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from magicseg.data.case import check_arrays
from magicseg.data.sources.grid import Slices
from magicseg.data.sources.intensity import abdominal_window
from magicseg.data.sources.layouts import enter
from magicseg.data.sources.nifti import aligned, read_nifti
from magicseg.data.sources.source import Source, SourceCase, Volume
from magicseg.data.sources.synapse_labels import ORGANS, to_organs

LAYOUT = "BTCV NIfTI"
SLICES = Slices("RAS", order=(2, 0, 1))
_NAME = re.compile(r"(img|label)(\d{4})\.nii(?:\.gz)?")

Files = dict[str, Path]  # "img" and "label" of a case


def index(folder: Path) -> dict[str, Files]:
    """Return the files of each case found below ``folder``."""
    found: dict[str, Files] = defaultdict(dict)
    for path in sorted(folder.rglob("*.nii*")):
        if match := _NAME.fullmatch(path.name):
            enter(found[f"case{match[2]}"], match[1], path)
    return dict(found)


def find(files: dict[str, Files], wanted: list[str], order: str) -> Source:
    """Return the ``wanted`` cases, whose labels follow ``order``."""
    cases, missing = [], {}
    for name in wanted:
        if absent := {"img": "image", "label": "label"}.keys() - files.get(name, {}).keys():
            missing[name] = f"no file {' and '.join(f'{kind}{name[4:]}.nii.gz' for kind in sorted(absent))}"
        else:
            cases.append(_case(name, files[name], order))
    unlabelled = sum("label" not in files[name] for name in set(files) - set(wanted))
    notes = [f"{unlabelled} images without labels (the challenge's test set) are not read."] if unlabelled else []
    return Source(f"{LAYOUT}, labels in {order} order", cases, missing, notes)


def _case(name: str, files: Files, order: str) -> SourceCase:
    read_case = partial(read, files["img"], files["label"], order)
    return SourceCase(name, name, (files["img"], files["label"]), f"synapse BTCV 2 {order}", read_case)


def read_label(files: Files) -> NDArray[Any]:
    """Return the label of a case as it is numbered in its file, [D, H, W]."""
    return SLICES.cut(read_nifti(files["label"]))[0]


def read(image_file: Path, label_file: Path, order: str) -> Volume:
    """Return a CT, clipped to -125 .. 275 HU and scaled to [0, 1], with its eight organs.

    The axes are turned to point right, anterior and superior; the volume is [z, x, y], as in TransUNet's files, so
    that a row of a slice runs from back to front.

    Raises:
        UserError: a file is damaged, holds no CT, or the two do not fit each other.
    """
    image = read_nifti(image_file)
    label, _ = SLICES.cut(aligned(read_nifti(label_file), image))
    slices, spacing = SLICES.cut(image)
    scaled, organs = abdominal_window(slices, image_file), to_organs(label, order, label_file)
    check_arrays(scaled, organs, len(ORGANS) + 1, f"{image_file} with {label_file.name}")
    return Volume(scaled, organs, spacing)
