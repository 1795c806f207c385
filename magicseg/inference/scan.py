"""New images without labels, read as the run's data set was, and how their label maps are written."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Image, Label, Spacing
from magicseg.data.checks import check_image
from magicseg.data.sources import FORMATS
from magicseg.data.sources.arrays import damage, read_npy
from magicseg.data.sources.folder_pairs import NIFTI, PICTURES, SUFFIXES
from magicseg.data.sources.grid import AS_STORED, Slices
from magicseg.data.sources.images import is_grey, read_grey, read_image
from magicseg.data.sources.intensity import INTENSITIES
from magicseg.data.sources.nifti import Nifti, read_nifti
from magicseg.errors import UserError, choose
from magicseg.inference.items import KINDS


@dataclass(frozen=True)
class Scan:
    """An image as in a prepared case, [D, H, W] or [D, H, W, 3], with the spacing of D, H, W in mm if it is known.

    ``encode`` turns a label map [D, H, W] into the content of a file on the image's own grid.
    """

    image: Image
    spacing: Spacing | None
    encode: Callable[[Label], bytes]


@dataclass(frozen=True)
class Reader:
    """Reads image files as a run's data set was read: ``channels`` 1 or 3, a rule of INTENSITIES, and its slices."""

    channels: int
    intensity: str
    slices: Slices = AS_STORED

    def __call__(self, path: Path) -> Scan:
        """Return the image in a file.

        Raises:
            UserError: the file is damaged, of no known kind, or not the sort of image that the run was trained on.
        """
        name = path.name.lower()
        if not name.endswith(SUFFIXES):
            raise UserError(f"{path} is no image that can be read; allowed are {KINDS}.")
        read = self._picture if name.endswith(PICTURES) else self._nifti if name.endswith(NIFTI) else self._array
        scan = read(path)
        check_image(scan.image, self.channels == 3, path)
        return scan

    def _picture(self, path: Path) -> Scan:
        image = read_image(path) if self.channels == 3 else _grey(path)
        return Scan(self._scaled(image[np.newaxis], path), None, _png)

    def _nifti(self, path: Path) -> Scan:
        if self.channels == 3:
            raise UserError(f"{path} is grey, as NIfTI volumes are; the run was trained on RGB images.")
        volume = read_nifti(path)
        image, spacing = self.slices.cut(volume)
        rule = "min_max" if self.intensity == "by_type" else self.intensity  # as in a folder of one's own
        return Scan(INTENSITIES[rule](image, path), spacing, partial(_nii_gz, volume, self.slices))

    def _array(self, path: Path) -> Scan:
        array = np.array(read_npy(path))
        rgb = array.ndim > 2 and array.shape[-1] == 3
        single = array.ndim - rgb == 2
        if rgb != (self.channels == 3) or not (single or array.ndim - rgb == 3):
            expected = (
                "RGB images, [H, W, 3] or [D, H, W, 3]" if self.channels == 3 else "grey ones, [H, W] or [D, H, W]"
            )
            raise UserError(f"{path} holds an array of shape {array.shape}; the run was trained on {expected}.")
        image = self._scaled(array[np.newaxis] if single else array, path)
        return Scan(image, None, partial(_npy, single))

    def _scaled(self, image: NDArray[Any], path: Path) -> NDArray[Any]:
        return INTENSITIES[self.intensity](image, path)


def reader(dataset: str, channels: int, intensity: str = "") -> Reader:
    """Return what reads images for a run on ``dataset``; ``intensity`` takes the place of that data set's own rule.

    Raises:
        UserError: the data set or the rule is not known.
    """
    if dataset not in FORMATS and not intensity:
        raise UserError(f"How {dataset} scales intensities is not known; say it by intensity={'|'.join(INTENSITIES)}.")
    known = FORMATS.get(dataset, FORMATS["folder"])
    return Reader(channels, choose("intensity", intensity or known.intensity, INTENSITIES), known.slices)


def _grey(path: Path) -> NDArray[np.uint8]:
    """Return a picture as grey values [H, W], also where its three channels are equal."""
    if is_grey(path):
        return read_grey(path)
    colours = read_image(path)
    if (colours != colours[..., :1]).any():
        raise UserError(f"{path} holds colours; the run was trained on grey images.")
    return colours[..., 0]


def _png(label: Label) -> bytes:
    from PIL import Image as Picture

    content = io.BytesIO()
    Picture.fromarray(label[0]).save(content, "PNG")
    return content.getvalue()


def _npy(single: bool, label: Label) -> bytes:
    content = io.BytesIO()
    np.save(content, label[0] if single else label)
    return content.getvalue()


def _nii_gz(volume: Nifti, slices: Slices, label: Label) -> bytes:
    """Return a file with the shape, affine, spacing and units of the volume that the label belongs to."""
    import nibabel

    with damage(volume.path, "NIfTI"):
        image: Any = nibabel.load(volume.path)
        header = image.header.copy()
        header.set_data_dtype(np.uint8)
        header["cal_min"], header["cal_max"] = 0, 0  # were the brightness of the image
        voxels = np.ascontiguousarray(slices.put_back(label, volume)).reshape(image.shape)
        labelled = type(image)(voxels, image.affine, header)
    return gzip.compress(labelled.to_bytes(), mtime=0)
