"""GlaS: glands in H&E-stained colon tissue, 85 + 60 + 20 images (Sirinukunwattana et al., MedIA 2017).

Two layouts are read: the challenge's bmp files, whose annotations number the glands, and the folders of UCTransNet,
whose masks tell only gland from background.
"""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from magicseg.data.sources.images import read_pair
from magicseg.data.sources.layouts import case_name, enter, need_folder, only_layout
from magicseg.data.sources.pairs import Pair, image_files, incomplete, jpeg_note
from magicseg.data.sources.source import DatasetFormat, Source, SourceCase, Volume
from magicseg.errors import UserError

OFFICIAL, FOLDERS = "official bmp", "UCTransNet folders"
PARTS = {"train": 85, "testA": 60, "testB": 20}
ADVICE = (
    "GlaS is free for research on https://warwick.ac.uk/fac/cross_fac/tia/data/glascontest. Unpack it and run: "
    "python scripts/prepare_data.py dataset=glas source=FOLDER"
)
_OFFICIAL = re.compile(r"(train|testA|testB)_(\d+)(_anno)?", re.IGNORECASE)
_FOLDERS = re.compile(r"(train|val|test)_folder/(img|labelcol)", re.IGNORECASE)


def find(folder: Path | None) -> Source:
    """Return the cases in ``folder`` or anywhere below it, in either layout.

    Raises:
        UserError: no folder given, neither layout found, or both.
    """
    folder = need_folder(folder, "GlaS", ADVICE)
    official, folders = _index_official(folder), _index_folders(folder)
    expected = (
        "train_1.bmp with train_1_anno.bmp, testA_1.bmp ... (official) or Train_Folder/img with Train_Folder/labelcol "
        "(UCTransNet)"
    )
    only_layout(folder, "GlaS", {OFFICIAL: official, FOLDERS: folders}, expected, ADVICE)
    return _find_official(folder, official) if official else _find_folders(folders)


def _index_official(folder: Path) -> dict[str, Pair]:
    parts = {part.lower(): part for part in PARTS}
    pairs: dict[str, Pair] = {}
    for path in image_files(folder):
        match = _OFFICIAL.fullmatch(path.stem)
        if match and not _FOLDERS.fullmatch("/".join(path.parts[-3:-1])):
            name = f"{parts[match[1].lower()]}_{int(match[2])}"
            enter(pairs.setdefault(name, {}), "mask" if match[3] else "image", path)
    return pairs


def _find_official(folder: Path, pairs: dict[str, Pair]) -> Source:
    grades = _grades(folder)
    parts = {f"{part}_{number}": part for part, size in PARTS.items() for number in range(1, size + 1)}
    missing = incomplete({name: pairs.get(name, {}) for name in parts})
    cases = [
        _case(name, part, pairs[name], grades.get(name, {}), read_glands)
        for name, part in parts.items()
        if name not in missing
    ]
    return Source(OFFICIAL, cases, missing, _patient_notes(cases))


def _index_folders(folder: Path) -> dict[tuple[str, str], Pair]:
    """Return the files of each (part, name); a mask may be called as its image is, or with ``_anno``."""
    parts: dict[str, dict[str, Pair]] = {}
    for path in image_files(folder):
        if match := _FOLDERS.fullmatch("/".join(path.parts[-3:-1])):
            is_mask = match[2].lower() == "labelcol"
            name = path.stem.removesuffix("_anno") if is_mask else path.stem
            files = parts.setdefault(match[1].lower(), {}).setdefault(name, {})
            enter(files, "mask" if is_mask else "image", path)
    return {(part, name): pair for part, pairs in parts.items() for name, pair in pairs.items()}


def _find_folders(pairs: dict[tuple[str, str], Pair]) -> Source:
    named = {_folder_name(part, stem): (part, pair) for (part, stem), pair in pairs.items()}
    if len(named) != len(pairs):
        raise UserError("Two GlaS images of one part have names that differ only in blanks, signs or the part's name.")
    missing = incomplete({name: pair for name, (_, pair) in named.items()})
    cases = [_case(name, part, pair, {}, read_mask_only) for name, (part, pair) in named.items() if name not in missing]
    notes = jpeg_note([case.files[1] for case in cases])
    if len(named) != sum(PARTS.values()):
        notes.append(f"{len(named)} images are there; GlaS has {sum(PARTS.values())}.")
    return Source(FOLDERS, cases, missing, notes)


def _folder_name(part: str, stem: str) -> str:
    return case_name(f"{part}_{stem.removeprefix(f'{part}_')}")


def _case(name: str, part: str, pair: Pair, facts: dict[str, Any], read: Any) -> SourceCase:
    files = pair["image"], pair["mask"]
    subject = f"patient{facts['patient']}" if "patient" in facts else name
    return SourceCase(name, subject, files, "glas 1", partial(read, *files), {"part": part, **facts})


def read_glands(image_file: Path, mask_file: Path) -> Volume:
    """Return a case whose annotation numbers the glands: label 1 and an instance each where it is not 0."""
    image, glands = read_pair(image_file, mask_file)
    return Volume(image[np.newaxis], (glands > 0).astype(np.uint8)[np.newaxis], instances=glands[np.newaxis])


def read_mask_only(image_file: Path, mask_file: Path) -> Volume:
    """Return a case whose mask is 0 and 255 (gland above 127), or else anything but 0 on a gland."""
    image, mask = read_pair(image_file, mask_file)
    threshold = 127 if mask.max() > 127 else 0
    return Volume(image[np.newaxis], (mask > threshold).astype(np.uint8)[np.newaxis])


def _grades(folder: Path) -> dict[str, dict[str, Any]]:
    """Return patient and grade of each image from Grade.csv, whose lines end with a bare carriage return."""
    found = {}
    for path in sorted(folder.rglob("Grade.csv")):
        for row in csv.reader(path.read_text(errors="replace").splitlines(), skipinitialspace=True):
            if len(row) >= 4 and row[1].isdigit():
                found[row[0]] = {"patient": int(row[1]), "grade": row[2], "grade_2015": row[3]}
    return found


def _patient_notes(cases: list[SourceCase]) -> list[str]:
    """Say how many patients of the training images are tested too: the official split is one of images."""
    patients: dict[bool, set[int]] = {True: set(), False: set()}
    for case in cases:
        if "patient" in case.facts:
            patients[case.facts["part"] == "train"].add(case.facts["patient"])
    shared = len(patients[True] & patients[False])
    return [f"Patients with images both in the training and in the test parts (Grade.csv): {shared}."] if shared else []


FORMAT = DatasetFormat(classes=("background", "gland"), find=find, advice=ADVICE)
