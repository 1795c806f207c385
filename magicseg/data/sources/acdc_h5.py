"""ACDC as the repository SSL4MIS arranges it: h5 volumes for some patients, h5 slices for others, and list files.

Each file holds ``image`` (float32, scaled to [0, 1] per volume) and ``label`` (uint8); spacing is not kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import check_arrays
from magicseg.data.sources.arrays import check_axes, open_arrays, read_arrays
from magicseg.data.sources.case_files import CaseFiles, read_files
from magicseg.data.sources.source import Source, SourceCase, Volume

LAYOUT = "SSL4MIS h5"
KEYS = (("image", "label"),)
PATIENTS, NUM_CLASSES = 100, 4
_NAME = re.compile(r"(patient\d{3}_frame\d{2})(?:_slice_(\d+))?")


def index(folder: Path) -> dict[str, CaseFiles]:
    """Return the h5 files of each case found below ``folder``."""
    found: dict[str, CaseFiles] = defaultdict(CaseFiles)
    for path in sorted(folder.rglob("patient*.h5")):
        if match := _NAME.fullmatch(path.stem):
            found[match[1]].enter(match[2], path)
    return dict(found)


def find(folder: Path, files: dict[str, CaseFiles]) -> Source:
    """Return the cases of patients 1 to 100: volumes as they are, or stacked from slices without a gap."""
    volumes, slices = _named_in_lists(folder)
    cases, missing = [], {}
    for number in range(1, PATIENTS + 1):
        for name in (f"patient{number:03d}_frame01", f"patient{number:03d}_frame02"):
            of_case = files.get(name, CaseFiles())
            first = min({1, *slices[name], *of_case.slices})
            if problem := of_case.problem(first, slices[name]):
                missing[name] = problem
            else:
                cases.append(_case(name, of_case))
    return Source(LAYOUT, cases, missing, _list_notes(files, volumes, slices, {case.name for case in cases}))


def _named_in_lists(folder: Path) -> tuple[set[str], dict[str, set[int]]]:
    volumes, slices = set(), defaultdict(set)
    for path in sorted(folder.rglob("*.list")):
        for line in path.read_text("utf-8-sig", "replace").split():
            match = _NAME.fullmatch(line.removesuffix(".h5"))
            if match and match[2]:
                slices[match[1]].add(int(match[2]))
            elif match:
                volumes.add(match[1])
    return volumes, slices


def _case(name: str, files: CaseFiles) -> SourceCase:
    read_case = partial(read, files.paths, files.volume is not None)
    return SourceCase(name, name.partition("_")[0], files.paths, "acdc h5 1", read_case)


def read(paths: tuple[Path, ...], is_volume: bool) -> Volume:
    """Return the case whose volume, or whose slices in order, are ``paths``.

    Raises:
        UserError: a file is damaged, or what it holds is not fit for the prepared form.
    """
    return Volume(*read_files(paths, is_volume, _read))


def _read(path: Path, ndim: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    image, label = read_arrays(path, KEYS)
    check_arrays(image, label, NUM_CLASSES, path)
    check_axes(image, ndim, path)
    return image.astype(np.float32), label.astype(np.uint8)


def _list_notes(
    files: dict[str, CaseFiles], volumes: set[str], slices: dict[str, set[int]], available: set[str]
) -> list[str]:
    """Say which files the lists name and the folder does not hold, and what became of them."""
    absent_volumes = sorted(name for name in volumes if not files.get(name, CaseFiles()).volume)
    absent_slices = [
        (name, number)
        for name in sorted(slices)
        for number in sorted(slices[name] - set(files.get(name, CaseFiles()).slices))
    ]
    if not absent_volumes and not absent_slices:
        return []
    last = {name: min(slices[name]) + _depth(files[name]) - 1 for name, _ in absent_slices if name in available}
    lost = [name for name in absent_volumes if name not in available]
    lost_slices = [f"{name}_slice_{number}" for name, number in absent_slices if number > last.get(name, -1)]
    fate = f"could not be rebuilt: {', '.join(lost + lost_slices)}" if lost or lost_slices else "none is lost"
    return [
        f"The list files name {len(absent_slices)} slices and {len(absent_volumes)} volumes that the folder lacks: "
        f"{len(absent_slices) - len(lost_slices)} slices were cut from volumes, "
        f"{len(absent_volumes) - len(lost)} volumes stacked from slices; {fate}."
    ]


def _depth(files: CaseFiles) -> int:
    if files.volume is None:
        return len(files.slices)
    with open_arrays(files.volume) as file:
        return len(file["image"])
