"""Small folders of images and masks, as people arrange them."""

import nibabel
import numpy as np
from PIL import Image

from magicseg.data.sources import folder

NAMES = ("a", "b", "c")


def picture(seed, size=(6, 8), rgb=False):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3) if rgb else size, np.uint8)


def mask(seed, values=(0, 1), size=(6, 8)):
    found = np.random.default_rng(100 + seed).choice(np.array(values, np.uint8), size)
    found.flat[: len(values)] = values
    return found


def write(path, array):
    """Write an array as the suffix says; NIfTI gets [z, y, x] as (x, y, z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if ".nii" in path.name:
        nibabel.save(nibabel.Nifti1Image(array.T, np.diag([1, 2, 3, 1])), path)
    elif path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


def write_set(place, images="images", masks="masks", ending="", values=(0, 1), suffixes=(".png", ".png"), names=NAMES):
    for seed, name in enumerate(names):
        write(place / images / f"{name}{suffixes[0]}", picture(seed))
        write(place / masks / f"{name}{ending}{suffixes[1]}", mask(seed, values))


def read_all(place):
    return {case.name: case.read() for case in folder.find(place).cases}


def expect_set(volumes, names=NAMES):
    assert list(volumes) == list(names)
    for seed, volume in enumerate(volumes.values()):
        np.testing.assert_array_equal(volume.image, picture(seed)[np.newaxis])
        np.testing.assert_array_equal(volume.label, mask(seed)[np.newaxis])
        assert (volume.image.dtype, volume.label.dtype, volume.spacing) == (np.uint8, np.uint8, None)
