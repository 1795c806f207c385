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
from magicseg.data.sources.arrays import Pair, check_axes, read_arrays, scaled
from magicseg.data.sources.case_files import CaseFiles, read_files
from magicseg.data.sources.source import Source, SourceCase, Volume

LAYOUT = "MT-UNet npz"
PATIENTS, NUM_CLASSES = 100, 4
PHASES = ("ED", "ES")
KEYS = (("img", "label"), ("image", "label"))
_NAME = re.compile(r"case_(\d{3})_(?:slice(ED|ES)_(\d+)|volume_(ED|ES))\.npz")


def index(folder: Path) -> dict[str, CaseFiles]:
    """Return the npz files of each case found below ``folder``."""
    found: dict[str, CaseFiles] = defaultdict(CaseFiles)
    for path in sorted(folder.rglob("case_*.npz")):
        if match := _NAME.fullmatch(path.name):
            patient, phase, number, whole = match.groups()
            found[_case_name(int(patient), phase or whole)].enter(number, path)
    return dict(found)


def find(files: dict[str, CaseFiles]) -> Source:
    """Return the cases of patients 1 to 100: volumes as they are, or stacked from slices without a gap."""
    cases, missing = [], {}
    for number in range(1, PATIENTS + 1):
        for phase in PHASES:
            name = _case_name(number, phase)
            of_case = files.get(name, CaseFiles())
            if problem := of_case.problem():
                missing[name] = problem
            else:
                cases.append(_case(name, phase, of_case))
    return Source(LAYOUT, cases, missing)


def _case_name(patient: int, phase: str) -> str:
    return f"patient{patient:03d}_frame{PHASES.index(phase) + 1:02d}"


def _case(name: str, phase: str, files: CaseFiles) -> SourceCase:
    read_case = partial(read, files.paths, files.volume is not None)
    return SourceCase(name, name.partition("_")[0], files.paths, "acdc mtunet 1", read_case, {"phase": phase})


def read(paths: tuple[Path, ...], is_volume: bool) -> Volume:
    """Return the case whose volume, or whose slices in order, are ``paths``.

    An image that goes beyond [0, 1] is scaled by the minimum and maximum of its volume, as in the other layouts.

    Raises:
        UserError: a file is damaged, or what it holds is not fit for the prepared form.
    """
    image, label = read_files(paths, is_volume, _read)
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
