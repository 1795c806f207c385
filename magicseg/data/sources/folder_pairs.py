"""Which mask belongs to which image in one's own folder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from magicseg.data.sources.images import SUFFIXES as PICTURES
from magicseg.data.sources.layouts import case_name, enter
from magicseg.errors import UserError

NIFTI, BOTH = (".nii.gz", ".nii"), (".h5", ".npz")
SUFFIXES = (*PICTURES, *NIFTI, ".npy")
# names of folders that belong together; the part that they stand for
KINDS = (
    ({"images", "image", "imgs", "img"}, {"masks", "mask", "labels", "label", "labelcol"}, None),
    ({"imagestr"}, {"labelstr"}, "train"),
    ({"imagests"}, {"labelsts"}, "test"),
)
_MASK_ENDING = re.compile(r"[_-](masks?|seg|segmentation|gt|labels?)$", re.IGNORECASE)
# a whole word, perhaps with more behind it, as in Train_Folder, train2017 and TrainDataset; not valve or trainee
_PART = re.compile(r"(?i:(train|val|test)(?:ing|id|idation)?(?:set)?)(?![a-z]|(?<=[A-Z])[A-Z])")
_FIRST_CHANNEL = "_0000"  # how nnU-Net marks the first, here the only, channel of an image

Key = tuple[str, str]  # folder below the place, file name without suffix


@dataclass(frozen=True)
class Pair:
    """An image with its mask; both are in one file if the paths are equal. ``part`` is train, val, test or unknown."""

    name: str
    image: Path
    label: Path
    part: str | None = None


def find_pairs(folder: Path, leave_out: set[Path]) -> tuple[list[Pair], dict[str, str]]:
    """Return the pairs in ``folder`` in order of names, and why other files are no pair, by name.

    Folders in ``leave_out`` are not looked into.

    Raises:
        UserError: folders or names are not unique.
    """
    pairs: list[Pair] = []
    missing: dict[str, str] = {}
    places = _places(folder, leave_out)
    for place, images, labels, part in places:
        of_place, lost = _match(_files(images, SUFFIXES), _files(labels, SUFFIXES), part or _part(place, folder))
        pairs += of_place
        missing |= lost
    if not places:
        files = _files(folder, BOTH)
        pairs = [Pair(stem, path, path, _part(path.parent, folder)) for (_, stem), path in files.items()]
    return sorted(_without_lone_part(_unique(pairs)), key=lambda pair: pair.name), missing


def stem_of(path: Path) -> str:
    """Return the name of a file without its suffix, ``.nii.gz`` as a whole; what follows another dot is no suffix."""
    ending = next((suffix for suffix in (*SUFFIXES, *BOTH) if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(ending)]


def _places(folder: Path, leave_out: set[Path]) -> list[tuple[Path, Path, Path, str | None]]:
    """Return the folders that have a folder of images and one of masks, with those two and the part they stand for."""
    found = []
    below = [path for depth in ("*", "*/*") for path in sorted(folder.glob(depth)) if path.is_dir()]
    for place in (folder, *(path for path in below if path not in leave_out)):
        children = [path for path in sorted(place.iterdir()) if path.is_dir()]
        for image_names, label_names, part in KINDS:
            images = [path for path in children if path.name.lower() in image_names]
            labels = [path for path in children if path.name.lower() in label_names]
            if images and labels:
                found.append((place, _single(images), _single(labels), part))
    plain = [place for place, *_, part in found if not (part or _part(place, folder))]
    if len(plain) > 1:
        raise UserError(
            f"{plain[0]} and {plain[1]} both hold images with masks. Give one of them as source, or name the folders "
            "train, val and test."
        )
    return found


def _single(paths: list[Path]) -> Path:
    if len(paths) > 1:
        raise UserError(
            f"{paths[0]} and {paths[1]} could both be meant. Keep one, or give a folder with one as source."
        )
    return paths[0]


def _part(place: Path, folder: Path) -> str | None:
    """Return the part that the path from ``folder`` to ``place`` names."""
    named = [match[1].lower() for step in place.relative_to(folder).parts if (match := _PART.match(step))]
    return named[-1] if named else None


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[Key, Path]:
    """Return the files below ``folder`` that have one of ``suffixes``."""
    found: dict[Key, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.lower().endswith(suffixes) and not path.name.startswith("."):
            enter(found, (path.parent.relative_to(folder).as_posix(), stem_of(path)), path)
    return found


def _match(images: dict[Key, Path], labels: dict[Key, Path], part: str | None) -> tuple[list[Pair], dict[str, str]]:
    pairs: dict[Key, Pair] = {}
    missing = {}
    for (below, stem), label in labels.items():
        bare = _MASK_ENDING.sub("", stem)
        key = next((key for name in (stem, bare, bare + _FIRST_CHANNEL) if (key := (below, name)) in images), None)
        if key is None:
            missing[bare] = f"no image for {label.name}"
        elif key in pairs:
            raise UserError(f"{pairs[key].label} and {label} are both masks of {images[key].name}; allowed is one.")
        else:
            name = bare if key[1] == bare + _FIRST_CHANNEL else key[1]  # not the first of images counted from 0000
            pairs[key] = Pair(name, images[key], label, part or _named(below))
    missing |= {stem: f"no mask for {images[below, stem].name}" for below, stem in images.keys() - pairs.keys()}
    return list(pairs.values()), dict(sorted(missing.items()))


def _named(below: str) -> str | None:
    return _part(Path(below), Path("."))


def _unique(pairs: list[Pair]) -> list[Pair]:
    """Return the pairs with names fit for cases; a name that occurs in several parts is preceded by the part."""
    count = Counter(pair.name for pair in pairs)
    named = [
        replace(pair, name=case_name(f"{pair.part}_{pair.name}" if count[pair.name] > 1 and pair.part else pair.name))
        for pair in pairs
    ]
    seen: dict[str, Path] = {}
    for pair in named:
        enter(seen, pair.name, pair.image)
    return named


def _without_lone_part(pairs: list[Pair]) -> list[Pair]:
    """Return the pairs without their part if all have the same: then it does not divide anything."""
    return [replace(pair, part=None) for pair in pairs] if len({pair.part for pair in pairs}) == 1 else pairs
