"""Reading one's own images and masks, whatever files they come in.

One decision is taken for the whole set, so that a network sees one sort of image: ``grey`` or ``rgb`` pictures stay as
they are, 0 to 255, and one coloured picture makes all of them RGB. Everything else is a ``volume``, scaled to [0, 1].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Spacing, check_arrays
from magicseg.data.sources.arrays import names_of, open_arrays, read_arrays, read_npy, scaled
from magicseg.data.sources.folder_classes import MOST, to_labels
from magicseg.data.sources.folder_pairs import BOTH, NIFTI, PICTURES, Pair
from magicseg.data.sources.grid import Slices, positive
from magicseg.data.sources.images import binary_label, is_grey, read_grey, read_image, read_mask
from magicseg.data.sources.nifti import aligned, read_axes, read_nifti
from magicseg.data.sources.source import Volume
from magicseg.errors import UserError

KEYS = (("image", "label"),)
LOSSY = (".jpg", ".jpeg")
SLICES = Slices("positive")


def image_kind(pairs: Sequence[Pair]) -> str:
    """Return ``grey``, ``rgb`` or ``volume``: what all images are turned into.

    Raises:
        UserError: the images are in files of different sorts, or some are coloured and others volumes.
    """
    first: dict[str, Path] = {}
    for pair in pairs:
        first.setdefault(_sort(pair.image), pair.image)
    if len(first) > 1:
        one, other = list(first.values())[:2]
        raise UserError(f"{one} and {other} are files of different sorts; allowed is one sort in a data set.")
    if "NIfTI" in first:
        return "volume"
    if "picture" in first:
        return "grey" if all(is_grey(pair.image) for pair in pairs) else "rgb"
    kinds = {_array_kind(pair.image): pair.image for pair in pairs}
    if kinds.keys() >= {"rgb", "volume"}:
        raise UserError(f"{kinds['rgb']} is an RGB image, {kinds['volume']} is not of 8 bits; all must be alike.")
    return next(kind for kind in ("volume", "rgb", "grey") if kind in kinds)


def mask_values(pairs: Sequence[Pair]) -> dict[int, Path]:
    """Return the values in the masks, each with the first that holds it, until there are too many to be classes."""
    found: dict[int, Path] = {}
    for pair in pairs:
        mask = _stored_mask(pair)
        small = mask.dtype == np.uint8
        values = np.flatnonzero(np.bincount(mask.ravel())) if small else np.unique(mask)  # counting spares a sort
        found = {**dict.fromkeys(values.tolist(), pair.label), **found}
        if len(found) > MOST:
            break
    return found


def read(pair: Pair, kind: str, values: tuple[int, ...]) -> Volume:
    """Return a case, its image as ``kind`` says, its label the position of the mask's value in ``values``.

    NIfTI axes keep their order, the slices lie along the third; they are flipped to point right, anterior, superior.

    Raises:
        UserError: a file is damaged, or image and mask do not fit each other.
    """
    image, mask, spacing = _load(pair, kind)
    where = pair.image if pair.label == pair.image else f"{pair.image} with {pair.label.name}"
    label = to_labels(mask, values, where)
    if kind == "volume":
        image = scaled(image, pair.image)
    if kind == "rgb" and image.shape == label.shape:
        image = np.repeat(image[..., np.newaxis], 3, axis=-1)
    check_arrays(image, label, len(values), where)
    return Volume(image, label, spacing) if label.ndim == 3 else Volume(image[np.newaxis], label[np.newaxis], spacing)


def reading_notes(pairs: Sequence[Pair]) -> list[str]:
    """Say which masks are read with a loss, and where the axes of NIfTI files point if not alike."""
    notes = []
    if lossy := sum(pair.label.suffix.lower() in LOSSY for pair in pairs):
        notes.append(f"{lossy} masks are JPEG files, which blur values: read as one class, above 127.")
    axes = Counter(read_axes(pair.image) for pair in pairs if _sort(pair.image) == "NIfTI")
    if len(axes) > 1:
        stored = ", ".join(f"{name} ({count})" for name, count in sorted(axes.items()))
        slices = {positive(name)[2] for name in axes}
        turned = "; their slices lie in different directions" if len(slices) > 1 else ""
        notes.append(f"The files' axes point to {stored}; flipped to point right, anterior and superior{turned}.")
    return notes


def _sort(path: Path) -> str:
    name = path.name.lower()
    sorts = {"picture": PICTURES, "NIfTI": NIFTI, "npy": (".npy",), "h5 or npz": BOTH}
    return next(sort for sort, suffixes in sorts.items() if name.endswith(suffixes))


def _array_kind(path: Path) -> str:
    if _sort(path) == "npy":
        image: Any = read_npy(path)
        return _kind_of(image)
    with open_arrays(path) as arrays:
        return _kind_of(arrays[names_of(arrays, KEYS, path)[0]])


def _kind_of(image: Any) -> str:
    if image.dtype != np.uint8:
        return "volume"
    return "rgb" if len(image.shape) > 2 and image.shape[-1] == 3 else "grey"


def _load(pair: Pair, kind: str) -> tuple[NDArray[Any], NDArray[Any], Spacing | None]:
    """Return image, mask and spacing; NIfTI volumes as [z, y, x], everything else with the axes of its file."""
    sort = _sort(pair.image)
    if sort == "NIfTI":
        return _load_nifti(pair)
    if sort == "h5 or npz":
        return read_arrays(pair.image, KEYS)[0], _stored_mask(pair), None
    if sort == "npy":
        return np.array(read_npy(pair.image)), _stored_mask(pair), None
    return (read_image if kind == "rgb" else read_grey)(pair.image), _stored_mask(pair), None


def _load_nifti(pair: Pair) -> tuple[NDArray[Any], NDArray[Any], Spacing]:
    if _sort(pair.label) != "NIfTI":
        raise UserError(f"{pair.label}: the mask of a NIfTI image must be a NIfTI file too.")
    image = read_nifti(pair.image)
    label = aligned(read_nifti(pair.label), image)
    slices, spacing = SLICES.cut(image)
    return slices, _whole(SLICES.cut(label)[0], pair.label), spacing


def _stored_mask(pair: Pair) -> NDArray[Any]:
    """Return the whole numbers of a mask with the axes of its file."""
    sort = _sort(pair.label)
    if sort == "picture":
        mask = read_mask(pair.label)
        return binary_label(mask, pair.label) * np.uint8(255) if pair.label.suffix.lower() in LOSSY else mask
    if sort == "NIfTI":
        return _whole(read_nifti(pair.label).voxels, pair.label)
    return _whole(read_npy(pair.label) if sort == "npy" else read_arrays(pair.label, KEYS)[1], pair.label)


def _whole(mask: NDArray[Any], path: Path) -> NDArray[Any]:
    if mask.dtype.kind in "iu":
        return mask
    with np.errstate(invalid="ignore"):
        numbers = mask.astype(np.int64)
    if not np.array_equal(numbers, mask):
        raise UserError(f"{path}: the mask holds {mask[numbers != mask].flat[0]:g}; allowed are whole numbers.")
    return numbers
