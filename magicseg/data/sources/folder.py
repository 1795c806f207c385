"""One's own data: a folder of images and masks, arranged in one of the usual ways, its classes found in the masks.

Read are ``images/`` with ``masks/`` and their kin, also below ``train``, ``val`` and ``test``; the Medical Segmentation
Decathlon's ``imagesTr/`` with ``labelsTr/``; h5 or npz files with ``image`` and ``label``; and the 2018 Data Science
Bowl's folder an image with a mask a nucleus. Each image is taken as its own subject.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from magicseg.data.sources import dsb
from magicseg.data.sources.folder_classes import Classes, find_classes
from magicseg.data.sources.folder_pairs import Pair, find_pairs
from magicseg.data.sources.folder_parts import assign_parts
from magicseg.data.sources.folder_reading import SLICES, image_kind, mask_values, read, reading_notes
from magicseg.data.sources.layouts import need_folder, only_layout
from magicseg.data.sources.source import DatasetFormat, Source, SourceCase
from magicseg.errors import UserError

LAYOUT = "images with masks"
ADVICE = (
    "Put images into images/ and masks of the same names into masks/ (png, jpg, tif, bmp, nii, nii.gz or npy), or both "
    "into h5 or npz files with the keys image and label; name the classes in classes.txt, one a line, background "
    "first; then run: python scripts/prepare_data.py dataset=folder source=FOLDER"
)
EXPECTED = (
    "images/ with masks/ or labels/, imagesTr/ with labelsTr/, img/ with labelcol/, h5 or npz files, or NAME/images "
    "with NAME/masks (one mask a nucleus)"
)


def find(folder: Path | None) -> Source:
    """Return the cases in ``folder`` and their classes.

    Raises:
        UserError: no folder given, none of the layouts found, or several; images or masks of different sorts; masks
            that do not hold classes.
    """
    folder = need_folder(folder, "a data set of your own", ADVICE)
    nuclei = dsb.index(folder)
    pairs, missing = find_pairs(folder, leave_out=set(nuclei))
    if only_layout(folder, "usable", {dsb.LAYOUT: nuclei, LAYOUT: pairs or missing}, EXPECTED, ADVICE) == dsb.LAYOUT:
        return dsb.find(nuclei)
    pairs, lost, notes = assign_parts(folder, pairs)
    missing |= lost
    if not pairs:
        raise UserError(f"No image below {folder} has a mask: {next(iter(missing))} is one of {len(missing)}. {ADVICE}")
    kind, classes = image_kind(pairs), find_classes(folder, mask_values(pairs))
    cases = [_case(pair, kind, classes) for pair in pairs]
    notes += [*classes.notes, *reading_notes(pairs)]
    return Source(f"{LAYOUT} ({kind})", cases, missing, notes, classes.names)


def _case(pair: Pair, kind: str, classes: Classes) -> SourceCase:
    facts = {"part": pair.part} if pair.part else {}
    if kind == "volume":
        facts["intensity"] = "each volume scaled by its minimum and maximum"
    recipe = f"folder 1 {kind} {classes.values}"
    files = (pair.image,) if pair.label == pair.image else (pair.image, pair.label)
    return SourceCase(pair.name, pair.name, files, recipe, partial(read, pair, kind, classes.values), facts)


FORMAT = DatasetFormat(("background",), find, ADVICE, intensity="by_type", slices=SLICES)
