"""ISIC as the challenges give it: a folder of images and one of masks for each part, joined by the image's id."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from magicseg.data.sources.images import read_binary
from magicseg.data.sources.layouts import enter
from magicseg.data.sources.pairs import Pair, image_files
from magicseg.data.sources.source import SourceCase
from magicseg.errors import UserError
from magicseg.files import read_json

LAYOUT = "official folders"
FOLDERS = {
    2016: re.compile(r"ISBI2016_ISIC_Part1_(Training|Test)_(Data|GroundTruth)", re.IGNORECASE),
    2017: re.compile(r"ISIC-2017_(Training|Validation|Test)(?:_v2)?_(Data|Part1_GroundTruth)", re.IGNORECASE),
    2018: re.compile(r"ISIC2018_Task1(?:-2)?_(Training|Validation|Test)_(Input|GroundTruth)", re.IGNORECASE),
}
_PARTS = {"training": "train", "validation": "val", "test": "test"}
_IMAGE = re.compile(r"ISIC_\d{7}", re.IGNORECASE)  # not ISIC_0000000_superpixels
_MASK = re.compile(r"(ISIC_\d{7})(?:_segmentation)?", re.IGNORECASE)
_LIST = re.compile(r"ISIC-2017_(Training|Validation|Test)(?:_v2)?_(?:Data_metadata|Part3_GroundTruth)\.csv")

Parts = dict[str, dict[str, Pair]]  # part -> image id -> its files, none for an id that is only listed


def index(folder: Path, year: int) -> Parts:
    """Return the files of each image that is there or that the challenge's lists beside them name.

    The part's folder may be anywhere below ``folder``, and the files anywhere in it.

    Raises:
        UserError: an image or a mask is there twice, in one part or in two.
    """
    parts: Parts = {}
    for path in image_files(folder):
        place = _place(path.relative_to(folder).parts[:-1], year)
        match = place and (_IMAGE if place[1] == "image" else _MASK).fullmatch(path.stem)
        if place and match:
            name = match[0][:12].upper()
            enter(parts.setdefault(place[0], {}).setdefault(name, {}), place[1], path)
    _check_apart(parts)
    for part, names in _listed(folder).items() if year == 2017 else ():
        for name in sorted(names):
            parts.setdefault(part, {}).setdefault(name, {})
    return parts


def other_years(folder: Path, year: int) -> list[int]:
    """Return the other years whose folders lie below ``folder``."""
    names = [path.name for path in folder.rglob("*") if path.is_dir()]
    return [other for other, pattern in FOLDERS.items() if other != year and any(map(pattern.fullmatch, names))]


def case(name: str, part: str, pair: Pair) -> SourceCase:
    """Return the case of a complete pair."""
    files = pair["image"], pair["mask"]
    return SourceCase(name, name, files, "binary image 1", partial(read_binary, *files), {"part": part})


def _place(folders: tuple[str, ...], year: int) -> tuple[str, str] | None:
    """Return part and kind of the files in a folder, by the innermost name that tells."""
    for name in reversed(folders):
        if match := FOLDERS[year].fullmatch(name):
            return _PARTS[match[1].lower()], "mask" if "groundtruth" in match[2].lower() else "image"
    return None


def _check_apart(parts: Parts) -> None:
    owner: dict[str, str] = {}
    for part, pairs in parts.items():
        for name in pairs:
            if owner.setdefault(name, part) != part:
                raise UserError(f"{name} is both in {owner[name]} and in {part}; each image belongs to one part.")


def _listed(folder: Path) -> dict[str, set[str]]:
    """Return the image ids of each part that the tables of 2017 name, or a list of what a copy lacks."""
    listed: dict[str, set[str]] = {}
    for path in folder.rglob("*.csv"):
        if match := _LIST.fullmatch(path.name):
            listed.setdefault(_PARTS[match[1].lower()], set()).update(_IMAGE.findall(path.read_text(errors="replace")))
    for path in folder.rglob("official_ids_missing.json"):
        content = read_json(path)
        for name, ids in content.items() if isinstance(content, dict) else ():
            if part := _PARTS.get(name.lower().removesuffix("_v2")):
                listed.setdefault(part, set()).update(_IMAGE.findall(json.dumps(ids)))
    return listed
