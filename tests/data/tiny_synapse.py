"""A small abdomen with eight organs at their sides, written in the layouts and label orders that Synapse comes in."""

import h5py
import nibabel
import numpy as np
from tiny_acdc import write_h5

from magicseg.data.sources.synapse_labels import ORDERS

SHAPE = (6, 24, 20)  # z, x, y
SPACING = (3.0, 0.8, 0.7)  # z, x, y
# first and last row and column of each organ in every slice: the liver lies at the side of high rows
PLACES = {
    1: (11, 12, 9, 11),
    2: (17, 18, 13, 15),
    3: (4, 6, 2, 5),
    4: (17, 19, 2, 5),
    5: (13, 22, 6, 12),
    6: (8, 10, 12, 14),
    7: (1, 4, 6, 10),
    8: (4, 8, 14, 17),
}


def abdomen(seed, shape=SHAPE):
    """Return Hounsfield units (int16) and our labels, [z, x, y]; the outer slices are empty."""
    rng = np.random.default_rng(seed)
    image = rng.integers(-1000, 1200, shape).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    for organ, (top, bottom, left, right) in PLACES.items():
        label[1:-1, top : bottom + 1, left : right + 1] = organ
    return image, label


def numbered(label, order):
    """Return our labels as they are numbered in ``order``; BTCV has an esophagus and an inferior vena cava besides."""
    table = np.zeros(9, np.uint8)
    table[list(ORDERS[order].values())] = list(ORDERS[order])
    numbers = table[label]
    if order == "BTCV":
        numbers[1:-1, 12, 14], numbers[1:-1, 12, 16] = 5, 9
    return numbers


def scaled(image):
    return np.clip((image + 125) / 400, 0, 1).astype(np.float32)


def write_official(folder, number, order="BTCV", axes="RAS", label_axes=None):
    """Write a case in NIfTI with its axes stored as ``axes``."""
    image, label = abdomen(number)
    for name, volume, stored in (("img", image, axes), ("label", numbered(label, order), label_axes or axes)):
        path = folder / "RawData" / "Training" / name / f"{name}{number:04d}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        z, x, y = SPACING
        nifti = nibabel.Nifti1Image(volume.transpose(1, 2, 0), np.diag([x, y, z, 1]))
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(nifti.affine), nibabel.orientations.axcodes2ornt(stored)
        )
        nibabel.save(nifti.as_reoriented(turn), path)


def write_volume(folder, number, order="TransUNet", suffix=".npy.h5"):
    image, label = abdomen(number)
    write_h5(folder / f"case{number:04d}{suffix}", scaled(image), numbered(label, order).astype(np.float32))


def write_slices(folder, number, order="TransUNet", keys=("image", "label")):
    folder.mkdir(parents=True, exist_ok=True)
    image, label = abdomen(number)
    for index, arrays in enumerate(zip(scaled(image), numbered(label, order).astype(np.float32), strict=True)):
        np.savez(folder / f"case{number:04d}_slice{index:03d}.npz", **dict(zip(keys, arrays, strict=True)))


def change_label(path, change):
    """Replace the label of an h5 volume by what ``change`` makes of it."""
    with h5py.File(path, "r+") as file:
        label = change(file["label"][()])
        del file["label"]
        file["label"] = label
