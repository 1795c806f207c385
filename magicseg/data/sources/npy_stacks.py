"""Image data sets as npy files: all images of a part in one array, their masks in another.

TransFuse writes ``data_train.npy`` and ``mask_train.npy`` (also val, test) without names; MedISeg, whose files CTO
uses, ``img.npy``, ``mask.npy`` and ``filename.npy``. Both resize the masks too, so that values lie between 0 and 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.sources.images import binary_label
from magicseg.data.sources.source import SourceCase, Volume
from magicseg.errors import UserError

TRANSFUSE, MEDISEG = "TransFuse npy", "MedISeg npy"
NOTE = "The masks of the npy files were resized with interpolation: above 127 counts as object."


@dataclass(frozen=True)
class Stack:
    """The images of one part, their masks, and what they are called."""

    part: str
    images: Path
    masks: Path
    names: tuple[str, ...]

    def cases(self) -> list[SourceCase]:
        """Return a case for each image."""
        files = self.images, self.masks
        return [
            SourceCase(name, name, files, f"npy stack 1, image {i}", partial(read, *files, i), {"part": self.part})
            for i, name in enumerate(self.names)
        ]


def index(folder: Path) -> dict[str, list[Stack]]:
    """Return the stacks of each layout in ``folder`` or anywhere below it.

    Raises:
        UserError: a file is damaged, lacks its counterpart, or does not hold what its layout says.
    """
    transfuse = [
        _stack(part, images, images.with_name(f"mask_{part}.npy"))
        for part in ("train", "val", "test")
        for images in sorted(folder.rglob(f"data_{part}.npy"))
    ]
    mediseg = [
        _stack("train", images, images.with_name("mask.npy"), images.with_name("filename.npy"))
        for images in sorted(folder.rglob("img.npy"))
    ]
    for stacks in (transfuse, mediseg):
        for one, other in pairwise(stacks):
            if one.part == other.part:
                raise UserError(
                    f"{one.images} and {other.images} are both the {one.part} images; only one may be there."
                )
    return {layout: stacks for layout, stacks in ((TRANSFUSE, transfuse), (MEDISEG, mediseg)) if stacks}


def read(images_file: Path, masks_file: Path, number: int) -> Volume:
    """Return image and mask ``number`` of a stack, without reading the others."""
    image, mask = _open(images_file)[number], _open(masks_file)[number]
    if mask.ndim == 3:  # MedISeg reads masks as colour images
        if (mask != mask[..., :1]).any():
            raise UserError(f"{masks_file}: the channels of mask {number} differ; all must hold the same mask.")
        mask = mask[..., 0]
    return Volume(np.array(image)[np.newaxis], binary_label(mask, f"{masks_file}, mask {number}")[np.newaxis])


def _stack(part: str, images: Path, masks: Path, names: Path | None = None) -> Stack:
    shape, of_masks = _open(images).shape, _open(masks).shape
    if len(shape) != 4 or shape[3] != 3 or of_masks not in (shape, shape[:3]) or 0 in shape:
        raise UserError(
            f"{images} has shape {shape} and {masks.name} {of_masks}; expected are (N, H, W, 3) and (N, H, W)."
        )
    stems = [Path(str(name)).stem for name in _load(names).ravel()] if names else []
    if names and not len(set(stems)) == len(stems) == shape[0]:
        raise UserError(f"{names} holds {len(set(stems))} names for {shape[0]} images; each image needs its own.")
    return Stack(part, images, masks, tuple(stems) or tuple(f"{part}_{i:04d}" for i in range(shape[0])))


def _open(path: Path) -> NDArray[np.uint8]:
    array = _load(path, mmap_mode="r")
    if array.dtype != np.uint8:
        raise UserError(f"{path}: holds {array.dtype} values; allowed is uint8.")
    return array


def _load(path: Path, **options: Any) -> NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False, **options)
    except Exception as error:  # on wrong bytes, NumPy raises nearly every kind
        raise UserError(f"{path} is damaged or no npy file ({error}). Copy or make it again.") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} is no npy file but an archive of several arrays.")
    return array
