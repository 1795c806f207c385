"""Synapse as TransUNet, MT-UNet, Swin-Unet and CASCADE hand it on: npz slices to train on, h5 volumes to test on.

Each file holds an image, scaled to [0, 1], and a label; neither spacing nor orientation is kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import check_arrays
from magicseg.data.sources.arrays import Pair, check_axes, check_numbers, names_of, open_arrays, read_arrays
from magicseg.data.sources.case_files import CaseFiles, read_files
from magicseg.data.sources.source import Source, SourceCase, Volume
from magicseg.data.sources.synapse_labels import ORGANS, to_organs

LAYOUT = "npz slices and h5 volumes"
KEYS = (("image", "label"), ("data", "seg"), ("img", "label"))
_NAME = re.compile(r"(case\d{4})(?:_slice(\d+))?(?:\.npy)?\.(?:npz|h5)")


def index(folder: Path) -> dict[str, CaseFiles]:
    """Return the files of each case found below ``folder``."""
    found: dict[str, CaseFiles] = defaultdict(CaseFiles)
    for path in sorted(path for path in folder.rglob("case*") if path.suffix in (".npz", ".h5")):
        if match := _NAME.fullmatch(path.name):
            found[match[1]].enter(match[2], path)
    return dict(found)


def find(files: dict[str, CaseFiles], wanted: list[str], order: str) -> Source:
    """Return the ``wanted`` cases, whose labels follow ``order``: volumes as they are, or stacked from all slices."""
    cases, missing = [], {}
    for name in wanted:
        of_case = files.get(name, CaseFiles())
        if problem := of_case.problem():
            missing[name] = problem
        else:
            cases.append(_case(name, of_case, order))
    both = [name for name in wanted if name in files and files[name].volume and files[name].slices]
    notes = [f"{', '.join(both)}: there as volume and as slices; the volume is read."] if both else []
    return Source(f"{LAYOUT}, labels in {order} order", cases, missing, notes)


def _case(name: str, files: CaseFiles, order: str) -> SourceCase:
    read_case = partial(read, files.paths, files.volume is not None, order)
    return SourceCase(name, name, files.paths, f"synapse arrays 2 {order}", read_case)


def read_label(files: CaseFiles) -> NDArray[Any]:
    """Return the label of a case as it is numbered in its files, [D, H, W]; slices that lack are left out."""
    return read_files(files.paths, files.volume is not None, lambda path, ndim: (_label(path, ndim),) * 2)[1]


def _label(path: Path, ndim: int) -> NDArray[Any]:
    with open_arrays(path) as arrays:
        label = check_numbers(arrays[names_of(arrays, KEYS, path)[1]][()], path)
    check_axes(label, ndim, path)
    return label


def read(paths: tuple[Path, ...], is_volume: bool, order: str) -> Volume:
    """Return the case whose volume, or whose slices in order, are ``paths``, with its eight organs.

    Raises:
        UserError: a file is damaged, or its image is not scaled to [0, 1], or its labels do not follow ``order``.
    """
    image, label = read_files(paths, is_volume, _read)
    where = paths[0] if is_volume else f"{paths[0]} and the slices after it"
    organs = to_organs(label, order, where)
    check_arrays(image, organs, len(ORGANS) + 1, where)
    return Volume(image, organs)


def _read(path: Path, ndim: int) -> Pair:
    image, label = read_arrays(path, KEYS)
    check_axes(image, ndim, path)
    return image.astype(np.float32), label
