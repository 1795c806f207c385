"""The 2018 Data Science Bowl's layout: a folder an image, with images/NAME.png and masks/ that hold a nucleus each."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from magicseg.data.case import check_arrays
from magicseg.data.sources.images import SUFFIXES, is_grey, read_grey, read_image, read_mask
from magicseg.data.sources.layouts import case_name
from magicseg.data.sources.source import Source, SourceCase, Volume
from magicseg.errors import UserError

LAYOUT = "one mask a nucleus"
CLASSES = ("background", "nucleus")


def index(folder: Path) -> dict[Path, list[Path]]:
    """Return the folders of single images in ``folder`` or one level below, each with the files of its masks."""
    found = {}
    for place in sorted((*folder.glob("*/images"), *folder.glob("*/*/images"))):
        if [path.stem for path in _pictures(place)] == [place.parent.name]:
            found[place.parent] = _pictures(place.parent / "masks")
    return found


def find(images: dict[Path, list[Path]]) -> Source:
    """Return one case an image; all are read as RGB if one of them is coloured."""
    labelled = {place: masks for place, masks in images.items() if masks}
    rgb = not all(is_grey(_image(place)) for place in labelled)
    cases = [_case(place, masks, rgb) for place, masks in sorted(labelled.items(), key=lambda item: item[0].name)]
    missing = {case_name(place.name): "no masks" for place in images if place not in labelled}
    return Source(f"{LAYOUT} ({'rgb' if rgb else 'grey'})", cases, missing, classes=CLASSES)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() in SUFFIXES)


def _image(place: Path) -> Path:
    return _pictures(place / "images")[0]


def _case(place: Path, masks: list[Path], rgb: bool) -> SourceCase:
    name, image = case_name(place.name), _image(place)
    return SourceCase(name, name, (image, *masks), f"dsb 1 rgb={rgb}", partial(read, image, tuple(masks), rgb))


def read(image_file: Path, masks: tuple[Path, ...], rgb: bool) -> Volume:
    """Return an image, [1, H, W] or [1, H, W, 3], with its nuclei numbered in the order of ``masks``.

    Raises:
        UserError: a file is damaged, a mask has another size than the image, or two masks overlap.
    """
    image = read_image(image_file) if rgb else read_grey(image_file)
    instances = np.zeros(image.shape[:2], np.uint16)
    for number, path in enumerate(masks, start=1):
        nucleus = read_mask(path) > 0
        if nucleus.shape != instances.shape:
            raise UserError(f"{path}: the mask has shape {nucleus.shape}, {image_file.name} {instances.shape}.")
        if overlap := int(np.count_nonzero(instances[nucleus])):
            raise UserError(f"{path}: {overlap} of its pixels belong to other masks of {image_file.name} too.")
        instances[nucleus] = number
    label = (instances > 0).astype(np.uint8)
    check_arrays(image, label, len(CLASSES), image_file, instances)
    return Volume(image[np.newaxis], label[np.newaxis], instances=instances[np.newaxis])
