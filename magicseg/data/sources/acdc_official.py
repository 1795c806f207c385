"""ACDC as the challenge gives it: a folder a patient with Info.cfg and NIfTI files of the annotated frames."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from magicseg.data.case import check_arrays
from magicseg.data.sources.arrays import scaled
from magicseg.data.sources.layouts import enter
from magicseg.data.sources.nifti import aligned, read_nifti
from magicseg.data.sources.source import Source, SourceCase, Volume

LAYOUT = "official NIfTI"
PATIENTS, NUM_CLASSES = 100, 4
_NAME = re.compile(r"(patient\d{3})_frame(\d{2})(_gt)?\.nii(\.gz)?")

Frames = dict[int, dict[str, Path]]  # frame number -> {"image": file, "label": file}


def index(folder: Path) -> dict[str, Frames]:
    """Return the frames of each patient found below ``folder``."""
    patients: dict[str, Frames] = defaultdict(lambda: defaultdict(dict))
    for path in sorted(folder.rglob("patient*.nii*")):
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():  # some copies have a folder of the same name around each file
            enter(patients[match[1]][int(match[2])], "label" if match[3] else "image", path)
    return dict(patients)


def find(patients: dict[str, Frames]) -> Source:
    """Return the two annotated frames of patients 1 to 100; patients of the challenge's test set are left aside."""
    cases, missing = [], {}
    wanted = [f"patient{number:03d}" for number in range(1, PATIENTS + 1)]
    for patient in wanted:
        frames = patients.get(patient, {})
        problem = _problem(frames)
        for position, frame in enumerate(sorted(frames) if not problem else (0, 0), start=1):
            name = f"{patient}_frame{position:02d}"
            if problem:
                missing[name] = problem
            else:
                cases.append(_case(name, patient, frame, frames[frame]))
    others = len(set(patients) - set(wanted))
    notes = [f"{others} patients outside 001 to {PATIENTS} (the challenge's test set) are not read."] if others else []
    return Source(LAYOUT, cases, missing, notes)


def _problem(frames: Frames) -> str | None:
    if not frames:
        return "the patient is not there"
    for number, files in sorted(frames.items()):
        if len(files) != 2:
            absent = ({"image", "label"} - set(files)).pop()
            return f"frame {number:02d} has no {absent} file"
    if len(frames) != 2:
        return f"{len(frames)} annotated frames found instead of 2"
    return None


def _case(name: str, patient: str, frame: int, files: dict[str, Path]) -> SourceCase:
    image, label = files["image"], files["label"]
    phases = [phase for phase in ("ED", "ES") if _info(image.parent).get(phase) == str(frame)]
    facts: dict[str, Any] = {"phase": phases[0] if phases else None}
    return SourceCase(name, patient, (image, label), "acdc official 2", partial(read, image, label), facts)


def read(image_file: Path, label_file: Path) -> Volume:
    """Return one frame: (x, y, z) as stored turned to [D, H, W], scaled by its minimum and maximum to [0, 1].

    A label whose axes point elsewhere than those of the image is turned to it.

    Raises:
        UserError: a file is damaged, the two do not fit each other, or what they hold is not fit for the prepared form.
    """
    raw = read_nifti(image_file)
    label = aligned(read_nifti(label_file), raw).voxels.transpose(2, 1, 0)
    image = scaled(raw.voxels.transpose(2, 1, 0), image_file)
    check_arrays(image, label, NUM_CLASSES, f"{image_file} with {label_file.name}")
    x, y, z = raw.spacing
    return Volume(image, label.astype(np.uint8), (z, y, x))


def _info(folder: Path) -> dict[str, str]:
    path = folder / "Info.cfg"
    lines = path.read_text("utf-8-sig", "replace").splitlines() if path.is_file() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
