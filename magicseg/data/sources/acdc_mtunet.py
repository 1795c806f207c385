"""ACDC as the repository MT-UNet arranges it: npz slices of the patients to train on, npz volumes of the others.

Each file holds ``img`` and ``label``; spacing is not kept. The files tell the phase: end-diastole is the first frame,
as it is in SSL4MIS' files, where frame 01 of every patient has the larger left ventricle.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np

from magicseg.data.case import check_arrays
from magicseg.data.sources.arrays import Pair, check_axes, read_arrays, scaled, stack_slices
from magicseg.data.sources.layouts import enter, gaps, missing_slices
from magicseg.data.sources.source import Source, SourceCase, Volume

LAYOUT = "MT-UNet npz"
PATIENTS, NUM_CLASSES = 100, 4
PHASES = ("ED", "ES")
KEYS = (("img", "label"), ("image", "label"))
_NAME = re.compile(r"case_(\d{3})_(?:slice(ED|ES)_(\d+)|volume_(ED|ES))\.npz")
_VOLUME = -1  # stands for the number of a slice where the file holds all of them

Files = dict[int, Path]  # number of the slice, or _VOLUME -> file


def index(folder: Path) -> dict[str, Files]:
    """Return the npz files of each case found below ``folder``."""
    found: dict[str, Files] = defaultdict(dict)
    for path in sorted(folder.rglob("case_*.npz")):
        if match := _NAME.fullmatch(path.name):
            patient, phase, number, whole = match.groups()
            enter(found[_case_name(int(patient), phase or whole)], int(number) if number else _VOLUME, path)
    return dict(found)


def find(files: dict[str, Files]) -> Source:
    """Return the cases of patients 1 to 100: volumes as they are, or stacked from slices without a gap."""
    cases, missing = [], {}
    for number in range(1, PATIENTS + 1):
        for phase in PHASES:
            name = _case_name(number, phase)
            if problem := _problem(files.get(name, {})):
                missing[name] = problem
            else:
                cases.append(_case(name, phase, files[name]))
    return Source(LAYOUT, cases, missing)


def _case_name(patient: int, phase: str) -> str:
    return f"patient{patient:03d}_frame{PHASES.index(phase) + 1:02d}"


def _problem(files: Files) -> str | None:
    if not files:
        return "neither a volume nor slices are there"
    absent = [] if _VOLUME in files else gaps(files, first=0)
    return missing_slices(absent) if absent else None


def _case(name: str, phase: str, files: Files) -> SourceCase:
    whole = _VOLUME in files
    paths = (files[_VOLUME],) if whole else tuple(files[number] for number in sorted(files))
    return SourceCase(
        name, name.partition("_")[0], paths, "acdc mtunet 1", partial(read, paths, whole), {"phase": phase}
    )


def read(paths: tuple[Path, ...], is_volume: bool) -> Volume:
    """Return the case whose volume, or whose slices in order, are ``paths``.

    An image that goes beyond [0, 1] is scaled by the minimum and maximum of its volume, as in the other layouts.

    Raises:
        UserError: a file is damaged, or what it holds is not fit for the prepared form.
    """
    image, label = _read(paths[0], ndim=3) if is_volume else stack_slices(paths, partial(_read, ndim=2))
    where = paths[0] if is_volume else f"{paths[0]} and the slices after it"
    if not 0 <= image.min() <= image.max() <= 1:
        image = scaled(image, where)
    image = image.astype(np.float32)
    check_arrays(image, label, NUM_CLASSES, where)
    return Volume(image, label.astype(np.uint8))


def _read(path: Path, ndim: int) -> Pair:
    image, label = read_arrays(path, KEYS)
    check_axes(image, ndim, path)
    return image, label
