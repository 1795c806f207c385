"""One's own folder with a mask a nucleus, and two real ones."""

import nibabel
import numpy as np
import pytest
from tiny_folder import picture, read_all, write, write_set

from magicseg.data.sources import folder
from magicseg.errors import UserError


def write_nuclei(place, name="n", colour=True):
    write(place / name / "images" / f"{name}.png", picture(3, rgb=colour))
    for number, value in enumerate((255, 1)):
        nucleus = np.zeros((6, 8), np.uint8)
        nucleus[3 * number : 3 * number + 2, 2:6] = value
        write(place / name / "masks" / f"{number}.png", nucleus)


def test_one_mask_a_nucleus(tmp_path):
    write_nuclei(tmp_path / "stage1_train")
    source = folder.find(tmp_path)
    assert (source.layout, source.classes) == ("one mask a nucleus (rgb)", ("background", "nucleus"))
    volume = source.cases[0].read()
    expected = np.repeat([[0] * 8, [0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 2, 2, 2, 2, 0, 0]], 2, axis=0)[[2, 3, 0, 4, 5, 1]]
    np.testing.assert_array_equal(volume.instances[0], expected)
    np.testing.assert_array_equal(volume.label[0], expected > 0)
    np.testing.assert_array_equal(volume.image[0], picture(3, rgb=True))


def test_nuclei_that_overlap_or_have_no_masks(tmp_path):
    write_nuclei(tmp_path, "n", colour=False)
    write_nuclei(tmp_path, "m", colour=False)
    for path in (tmp_path / "m/masks").iterdir():
        path.unlink()
    source = folder.find(tmp_path)
    assert (source.layout, source.missing) == ("one mask a nucleus (grey)", {"m": "no masks"})
    np.testing.assert_array_equal(source.cases[0].read().image[0], picture(3))
    write(tmp_path / "n/masks/9.png", np.full((6, 8), 255, np.uint8))
    with pytest.raises(UserError, match=r"9.png: 16 of its pixels belong to other masks of n.png"):
        read_all(tmp_path)
    write(tmp_path / "n/masks/9.png", np.zeros((6, 9), np.uint8))
    with pytest.raises(UserError, match=r"9.png: the mask has shape \(6, 9\), n.png \(6, 8\)"):
        read_all(tmp_path)


def test_nuclei_beside_pairs_are_two_layouts(tmp_path):
    write_nuclei(tmp_path)
    write_set(tmp_path)
    with pytest.raises(UserError, match="usable data in 2 layouts: one mask a nucleus, images with masks"):
        folder.find(tmp_path)


def test_the_real_nuclei(verification):
    source = folder.find(verification("dsb2018_sample"))
    assert (len(source.cases), source.missing, source.layout) == (16, {}, "one mask a nucleus (rgb)")
    sizes, nuclei = set(), 0
    for case in source.cases:
        volume = case.read()
        assert volume.image.shape == (*volume.label.shape, 3)
        assert volume.instances.max() == len(np.unique(volume.instances)) - 1 == len(case.files) - 1
        nuclei += len(case.files) - 1
        sizes.add(volume.label.shape)
    assert (nuclei, len(sizes) > 1) == (610, True)


def test_the_real_hippocampus(verification):
    source = folder.find(verification("msd_hippocampus_sample"))
    assert (len(source.cases), source.missing) == (24, {})
    assert source.classes == ("background", "class_1", "class_2")
    types = set()
    for case in source.cases:
        volume = case.read()
        types.add(nibabel.load(case.files[0]).get_data_dtype())
        assert (volume.image.min(), volume.image.max(), volume.spacing) == (0, 1, (1, 1, 1))
        assert np.unique(volume.label).tolist() == [0, 1, 2]
        assert volume.image.shape == nibabel.load(case.files[0]).shape[::-1]
    assert types == {np.dtype(np.float32), np.dtype(np.uint8)}
