"""PH2: 200 dermoscopic images of pigmented lesions (Mendonca et al., EMBC 2013).

Files are known by their names, ``IMD002.bmp`` and ``IMD002_lesion.bmp``, in the official folder tree or in any other;
copies saved as JPEG or PNG are read too. The colour regions of the ``_roi`` folders are left aside.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from magicseg.data.sources.images import read_binary
from magicseg.data.sources.layouts import enter, need_folder, only_layout
from magicseg.data.sources.pairs import Pair, image_files, incomplete, jpeg_note, unnamed
from magicseg.data.sources.source import DatasetFormat, Source, SourceCase

LAYOUT = "images by name"
IMAGES = 200
DIAGNOSES = ("common nevus", "atypical nevus", "melanoma")  # clinical diagnosis 0, 1, 2 of PH2_dataset.txt
ADVICE = (
    "PH2 is given for research and education on https://www.fc.up.pt/addi/ph2%20database.html. Unpack it and run: "
    "python scripts/prepare_data.py dataset=ph2 source=FOLDER"
)
_NAME = re.compile(r"(IMD\d{3})(_lesion)?", re.IGNORECASE)


def find(folder: Path | None) -> Source:
    """Return the cases in ``folder`` or anywhere below it.

    Raises:
        UserError: no folder given, nothing found, or two files for the same image.
    """
    folder = need_folder(folder, "PH2", ADVICE)
    pairs: dict[str, Pair] = {}
    for path in image_files(folder):
        if match := _NAME.fullmatch(path.stem):
            enter(pairs.setdefault(match[1].upper(), {}), "mask" if match[2] else "image", path)
    layout = only_layout(folder, "PH2", {LAYOUT: pairs}, "IMDxxx.bmp with IMDxxx_lesion.bmp", ADVICE)
    missing, diagnoses = incomplete(pairs), _diagnoses(folder)
    cases = [_case(name, pair, diagnoses.get(name)) for name, pair in sorted(pairs.items()) if name not in missing]
    missing |= unnamed({"ph2": len(pairs)}, {"ph2": IMAGES})
    return Source(layout, cases, missing, jpeg_note([case.files[1] for case in cases]))


def _case(name: str, pair: Pair, diagnosis: str | None) -> SourceCase:
    files = pair["image"], pair["mask"]
    facts: dict[str, Any] = {"diagnosis": diagnosis} if diagnosis else {}
    return SourceCase(name, name, files, "binary image 1", partial(read_binary, *files), facts)


def _diagnoses(folder: Path) -> dict[str, str]:
    """Return the clinical diagnosis of each image by the table PH2_dataset.txt: | name | histology | 0, 1 or 2 |."""
    rows = [
        [cell.strip() for cell in line.split("||")]
        for path in sorted(folder.rglob("PH2_dataset.txt"))
        for line in path.read_text(errors="replace").splitlines()
    ]
    return {row[1]: DIAGNOSES[int(row[3])] for row in rows if len(row) > 3 and row[3] in ("0", "1", "2")}


FORMAT = DatasetFormat(classes=("background", "lesion"), find=find, advice=ADVICE)
