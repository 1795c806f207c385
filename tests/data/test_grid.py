"""Slices of a NIfTI volume lie as the data set says, and labels come back to the voxels that they belong to."""

import numpy as np
import pytest
from test_nifti import ALL_AXES, SHAPE, save

from magicseg.data.sources import FORMATS
from magicseg.data.sources.grid import AS_STORED, Slices, positive
from magicseg.data.sources.nifti import read_nifti

WAYS = [AS_STORED, Slices("positive"), Slices("RAS", (2, 0, 1)), Slices("LPI", (0, 2, 1))]


@pytest.mark.parametrize("slices", WAYS, ids=str)
def test_what_is_cut_is_put_back_from_every_orientation(tmp_path, slices):
    for axes in ALL_AXES:
        volume = read_nifti(save(tmp_path / "a.nii", axes=axes))
        image, _ = slices.cut(volume)
        np.testing.assert_array_equal(slices.put_back(image, volume), volume.voxels)


@pytest.mark.parametrize("slices", WAYS[2:], ids=str)
def test_fixed_axes_give_the_same_slices_whatever_the_orientation(tmp_path, slices):
    expected, spacing = slices.cut(read_nifti(save(tmp_path / "a.nii")))
    for axes in ALL_AXES:
        image, found = slices.cut(read_nifti(save(tmp_path / "b.nii", axes=axes)))
        np.testing.assert_array_equal(image, expected)
        assert found == spacing


def test_the_axes_of_each_way(tmp_path):
    volume = read_nifti(save(tmp_path / "a.nii", axes="LPS"))
    stored, flipped, ct = (slices.cut(volume) for slices in WAYS[:3])
    assert [image.shape for image, _ in (stored, flipped, ct)] == [(5, 4, 3), (5, 4, 3), (5, 3, 4)]
    assert [spacing for _, spacing in (stored, flipped, ct)] == [(2.5, 0.75, 0.5)] * 2 + [(2.5, 0.5, 0.75)]
    np.testing.assert_array_equal(stored[0], volume.voxels.transpose(2, 1, 0))
    np.testing.assert_array_equal(flipped[0], np.arange(60).reshape(SHAPE).transpose(2, 1, 0))
    np.testing.assert_array_equal(ct[0], np.arange(60).reshape(SHAPE).transpose(2, 0, 1))


def test_positive_axes_keep_their_order():
    assert [positive(axes) for axes in ("LSP", "RAS", "IPL")] == ["RSA", "RAS", "SAR"]


def test_each_data_set_says_how_new_images_are_read():
    rules = {name: (known.intensity, known.slices.axes) for name, known in FORMATS.items()}
    assert rules["acdc"] == ("min_max", "stored")
    assert rules["synapse"] == ("abdominal_window", "RAS")
    assert rules["folder"] == ("by_type", "positive")
    assert rules["isic2018"] == rules["glas"] == rules["phantom"] == ("as_they_are", "stored")
