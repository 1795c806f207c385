"""Small pictures of prepared cases with the outline of their labels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Case, Image, Label, load_all
from magicseg.data.resizing import Size, resize_nearest

SIDE = 224  # pixels of the longer side
LARGEST = 24_000  # bytes: a hundred of them, and a table of 5,000 cases, make a page below 5 MB
COLOURS = ("#00e5d4", "#ffd60a", "#ff4fa3", "#b18cff", "#ff8a1f", "#7cff4f", "#4aa8ff", "#ff5c5c")  # of class 1, 2, ...


def thumbnail(root: Path, case: Case) -> bytes:
    """Return a JPEG of the slice with the most labelled voxels; each class (each instance, if known) is outlined."""
    from PIL import Image as Pillow

    image, label, instances = load_all(root, case)
    number = _fullest_slice(label)
    height, width = size = _size(label.shape[1:])
    picture = np.array(Pillow.fromarray(_rgb(image[number])).resize((width, height), Pillow.Resampling.LANCZOS))
    label = resize_nearest(label[number], size, "bilinear")
    regions = label if instances is None else resize_nearest(instances[number], size, "bilinear")
    edge = _outline(regions) & (label > 0)
    picture[_outline(edge)] //= 2  # a dark rim, for contrast with bright images
    picture[edge] = _palette()[(label[edge].astype(int) - 1) % len(COLOURS)]
    return _encoded(Pillow.fromarray(picture))


def _encoded(picture: Any) -> bytes:
    """Return the Pillow image as a JPEG of the best quality that is small enough."""
    for quality in (80, 60, 40, 20):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, subsampling=0)
        if file.tell() <= LARGEST:
            break
    return file.getvalue()


def _fullest_slice(label: Label) -> int:
    areas = (label > 0).reshape(len(label), -1).sum(axis=1)
    return int(areas.argmax()) if areas.any() else len(label) // 2


def _size(shape: tuple[int, ...]) -> Size:
    """Return height and width of the picture of a slice."""
    height, width = (max(1, round(SIDE * size / max(shape))) for size in shape)
    return height, width


def _rgb(image: Image) -> NDArray[np.uint8]:
    """Return the slice as 8-bit RGB, grey ones stretched to their own range."""
    if image.ndim == 3:
        return np.asarray(image, np.uint8)
    low, high = float(image.min()), float(image.max())
    grey = (image - low) / (high - low or 1) * 255
    return np.repeat(grey.round().astype(np.uint8)[..., np.newaxis], 3, axis=-1)


def _outline(regions: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels that have a neighbour of another region above, below, left or right."""
    edge = np.zeros(regions.shape, bool)
    vertical, horizontal = regions[1:] != regions[:-1], regions[:, 1:] != regions[:, :-1]
    edge[1:] |= vertical
    edge[:-1] |= vertical
    edge[:, 1:] |= horizontal
    edge[:, :-1] |= horizontal
    return edge


def _palette() -> NDArray[np.uint8]:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in COLOURS], np.uint8)
