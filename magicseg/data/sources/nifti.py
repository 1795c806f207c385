"""NIfTI files: voxels, where their axes point, and how large they are in mm."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Spacing
from magicseg.data.sources.arrays import check_numbers, damage
from magicseg.errors import UserError

_MM = {"meter": 1000.0, "micron": 0.001}  # other units are mm, or not told


@dataclass(frozen=True)
class Nifti:
    """One volume: voxels (i, j, k), the affine from voxel indices to positions in the header's unit, file.

    ``spacing`` is the voxel size along i, j, k in mm.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    spacing: Spacing
    path: Path

    @property
    def axes(self) -> str:
        """Where the three axes point, e.g. ``RAS`` for right, anterior, superior.

        Raises:
            UserError: the header does not tell.
        """
        return _axes(self.affine, self.path)

    def turned(self, axes: str) -> Nifti:
        """Return the volume with its axes permuted and flipped so that they point to ``axes``."""
        from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

        if self.axes == axes:
            return self
        turn = ornt_transform(io_orientation(self.affine), axcodes2ornt(axes))
        i, j, k = (self.spacing[int(axis)] for axis in np.argsort(turn[:, 0]))
        affine = self.affine @ inv_ornt_aff(turn, self.voxels.shape)
        return Nifti(apply_orientation(self.voxels, turn), affine, (i, j, k), self.path)


def read_nifti(path: Path) -> Nifti:
    """Return the volume of a ``.nii`` or ``.nii.gz`` file, NIfTI-1 or -2, as it is stored; [x, y] becomes [x, y, 1].

    Raises:
        UserError: the file is damaged, holds no single volume of real numbers, or tells no voxel size.
    """
    from nibabel.nifti1 import Nifti1Image
    from nibabel.nifti2 import Nifti2Header, Nifti2Image

    with damage(path, "NIfTI"):
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)  # as a whole, because only the end of the stream carries its checksum
        second = Nifti2Header.may_contain_header(content[: Nifti2Header.sizeof_hdr])
        form = Nifti2Image if second else Nifti1Image
        nifti = form.from_bytes(content)
        voxels = np.asarray(nifti.dataobj)
        unit = _MM.get(nifti.header.get_xyzt_units()[0], 1.0)
        header = form.header_class(content[: form.header_class.sizeof_hdr], check=False)  # checked, a size of 0 is 1
        zooms = [abs(float(size)) * unit for size in header["pixdim"][1 : voxels.ndim + 1][:3]]
    check_numbers(voxels, path)
    if voxels.ndim < 2 or any(size != 1 for size in voxels.shape[3:]):
        raise UserError(f"{path}: holds an array of shape {voxels.shape}; expected is one volume (x, y, z).")
    i, j, k = (round(size, 6) for size in (*zooms, 1.0)[:3])
    if not (np.isfinite([i, j, k]).all() and min(i, j, k) > 0):
        raise UserError(f"{path}: the header gives the voxel size {i:g} x {j:g} x {k:g} mm; all must be above 0.")
    return Nifti(voxels.reshape((*voxels.shape, 1)[:3]), np.asarray(nifti.affine, np.float64), (i, j, k), path)


def aligned(label: Nifti, image: Nifti) -> Nifti:
    """Return ``label`` with its axes as those of ``image``.

    Where the axes point alike, the voxels correspond one to one, whatever else the headers say; where they do not, the
    label is turned, and both must then lie at the same place.

    Raises:
        UserError: the headers contradict each other.
    """
    if label.axes == image.axes:
        return label
    turned = label.turned(image.axes)
    nearly = 0.5 * np.linalg.norm(image.affine[:3, :3], axis=0).min()
    if turned.voxels.shape != image.voxels.shape or np.abs(turned.affine - image.affine).max() > nearly:
        raise UserError(
            f"{label.path}: its axes point to {label.axes}, those of {image.path.name} to {image.axes}, and the two "
            "do not lie at the same place, so that it is not known which voxels correspond. Correct one of the headers."
        )
    return turned


def read_axes(path: Path) -> str:
    """Return where the axes of a file point, e.g. ``RAS``, without reading its voxels; raise UserError as elsewhere."""
    import nibabel

    with damage(path, "NIfTI"):
        affine = nibabel.load(path).affine  # type: ignore[attr-defined]
    return _axes(affine, path)


def _axes(affine: NDArray[np.float64], path: Path) -> str:
    from nibabel.orientations import aff2axcodes

    with damage(path, "NIfTI"):
        codes = aff2axcodes(affine)
    if None in codes:
        raise UserError(f"{path}: the header's affine does not tell where the three axes point.")
    return "".join(codes)
