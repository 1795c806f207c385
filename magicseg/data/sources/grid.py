"""Where the slices of a NIfTI volume lie: how a data set turns a volume before it is cut, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Spacing
from magicseg.data.sources.nifti import Nifti

STORED, POSITIVE = "stored", "positive"


@dataclass(frozen=True)
class Slices:
    """How the axes i, j, k of a volume become those of its slices, [D, H, W].

    ``axes`` says where i, j and k shall point: as "stored"; "positive", flipped to right, anterior and superior with
    their order kept; or codes such as ``RAS``. ``order`` says which of them then become D, H and W.
    """

    axes: str = STORED
    order: tuple[int, int, int] = (2, 1, 0)

    def turned(self, volume: Nifti) -> Nifti:
        """Return the volume with its axes pointing where they shall."""
        if self.axes == STORED:
            return volume
        return volume.turned(positive(volume.axes) if self.axes == POSITIVE else self.axes)

    def cut(self, volume: Nifti) -> tuple[NDArray[Any], Spacing]:
        """Return the slices [D, H, W] of a volume, and the spacing of D, H, W in mm."""
        turned = self.turned(volume)
        d, h, w = (turned.spacing[axis] for axis in self.order)
        return turned.voxels.transpose(self.order), (d, h, w)

    def put_back(self, label: NDArray[Any], volume: Nifti) -> NDArray[Any]:
        """Return the label of slices [D, H, W] that were cut from ``volume`` on that volume's voxels (i, j, k)."""
        turned = self.turned(volume)
        voxels = label.transpose(np.argsort(self.order))
        if turned is volume:
            return voxels
        return Nifti(voxels, turned.affine, turned.spacing, volume.path).turned(volume.axes).voxels


AS_STORED = Slices()


def positive(axes: str) -> str:
    """Return the axes flipped to point right, anterior and superior, in the same order: ``LSP`` becomes ``RSA``."""
    return axes.translate(str.maketrans("LPI", "RAS"))
