"""Synapse: three layouts and three orders of labels give the same cases; what is not certain is refused."""

import itertools
import shutil

import numpy as np
import pytest
from tiny_synapse import (
    SPACING,
    abdomen,
    change_label,
    numbered,
    scaled,
    write_official,
    write_slices,
    write_volume,
)

from magicseg.data.sources import FORMATS, synapse, synapse_official
from magicseg.data.sources.synapse_labels import recognise, to_organs
from magicseg.errors import UserError

NUMBERS = (1, 5, 40)


def read_all(folder):
    return {case.name: case.read() for case in synapse.find(folder).cases}


def expect_abdomens(volumes, spacing):
    assert list(volumes) == [f"case{number:04d}" for number in NUMBERS]
    for number, volume in zip(NUMBERS, volumes.values(), strict=True):
        image, label = abdomen(number)
        np.testing.assert_array_equal(volume.image, scaled(image))
        np.testing.assert_array_equal(volume.label, label)
        assert (volume.image.dtype, volume.label.dtype, volume.spacing) == (np.float32, np.uint8, spacing)


def test_the_format_names_the_organs_in_the_papers_order():
    assert FORMATS["synapse"].classes[1:5] == ("aorta", "gallbladder", "left_kidney", "right_kidney")
    assert FORMATS["synapse"].classes[5:] == ("liver", "pancreas", "spleen", "stomach")


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "SPR", "AIL"])
def test_nifti_of_any_orientation_gives_the_same_volume(tmp_path, axes):
    for number in NUMBERS:
        write_official(tmp_path, number, axes=axes)
    expect_abdomens(read_all(tmp_path), SPACING)


@pytest.mark.parametrize("order", ["BTCV", "TransUNet", "CASCADE"])
def test_every_order_and_community_layout_gives_the_same_volume(tmp_path, order):
    write_volume(tmp_path / "test_vol_h5", 1, order)
    write_slices(tmp_path / "train_npz", 5, order)
    write_slices(tmp_path / "train", 40, order, keys=("data", "seg"))
    source = synapse.find(tmp_path)
    assert source.layout == f"npz slices and h5 volumes, labels in {order} order"
    expect_abdomens(read_all(tmp_path), None)


def test_a_label_stored_in_other_axes_than_its_image_is_turned(tmp_path):
    for number in NUMBERS:
        write_official(tmp_path, number, axes="LAS", label_axes="RPI")
    expect_abdomens(read_all(tmp_path), SPACING)


def test_hounsfield_units_are_clipped_and_scaled(tmp_path):
    write_official(tmp_path, 1)
    image = read_all(tmp_path)["case0001"].image
    raw = abdomen(1)[0]
    assert set(image[raw <= -125]) == {0}
    assert set(image[raw >= 275]) == {1}
    np.testing.assert_allclose(image[raw == 75], 0.5)


def test_absent_cases_and_files_are_missing(tmp_path):
    for number in NUMBERS:
        write_official(tmp_path, number)
    (tmp_path / "RawData/Training/label/label0005.nii.gz").unlink()
    source = synapse.find(tmp_path)
    assert len(source.missing) == 28
    assert source.missing["case0005"] == "no file label0005.nii.gz"
    assert source.missing["case0002"] == "no file img0002.nii.gz and label0002.nii.gz"


def test_the_challenges_test_images_are_not_read(tmp_path):
    write_official(tmp_path, 1)
    image = tmp_path / "RawData/Training/img/img0001.nii.gz"
    (tmp_path / "RawData/Testing/img").mkdir(parents=True)
    for number in (61, 80):
        shutil.copy(image, tmp_path / f"RawData/Testing/img/img{number:04d}.nii.gz")
    assert synapse.find(tmp_path).notes == ["2 images without labels (the challenge's test set) are not read."]


def test_a_gap_in_the_slices_is_named(tmp_path):
    write_slices(tmp_path, 5)
    write_slices(tmp_path, 6)
    (tmp_path / "case0005_slice003.npz").unlink()
    (tmp_path / "case0005_slice000.npz").unlink()
    assert synapse.find(tmp_path).missing["case0005"] == "no slice 0, 3"


def test_a_volume_is_preferred_to_slices_of_the_same_case(tmp_path):
    write_slices(tmp_path / "train_npz", 5)
    write_volume(tmp_path / "test_vol_h5", 5)
    source = synapse.find(tmp_path)
    assert source.notes == ["case0005: there as volume and as slices; the volume is read."]
    assert [path.name for path in source.cases[0].files] == ["case0005.npy.h5"]


def test_one_file_in_two_folders_is_refused(tmp_path):
    write_volume(tmp_path / "a", 1)
    write_volume(tmp_path / "b", 1)
    with pytest.raises(UserError, match=r"a/case0001.npy.h5 and .*b/case0001.npy.h5 are both there"):
        synapse.find(tmp_path)


def test_two_layouts_in_one_folder_are_refused(tmp_path):
    write_official(tmp_path, 1)
    write_volume(tmp_path, 1)
    with pytest.raises(UserError, match="in 2 layouts: BTCV NIfTI, npz slices and h5 volumes"):
        synapse.find(tmp_path)


@pytest.mark.parametrize("folder", [None, "nowhere", "."])
def test_without_data_the_text_says_where_to_get_it(tmp_path, folder):
    with pytest.raises(UserError, match=r"synapse.org.*TransUNet.*dataset=synapse source=FOLDER"):
        synapse.find(folder and tmp_path / folder)


def swapped(label, one, other):
    label = label.copy()
    label[label == one], label[label == other] = 99, one
    label[label == 99] = other
    return label


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda label: swapped(label, 3, 4), id="kidneys swapped"),
        pytest.param(lambda label: swapped(label, 7, 5), id="liver and spleen swapped"),
        pytest.param(lambda label: swapped(label, 5, 1), id="an unknown order"),
        pytest.param(lambda label: label * (label != 4), id="a kidney absent everywhere"),
        pytest.param(lambda label: label * 0, id="no organ"),
        pytest.param(lambda label: np.where(label == 8, 12, label), id="an organ too many"),
    ],
)
def test_an_order_that_is_not_certain_is_refused(tmp_path, change):
    write_volume(tmp_path, 1)
    change_label(tmp_path / "case0001.npy.h5", change)
    with pytest.raises(
        UserError, match=r"order of the labels is not known for certain.*shares of all organ voxels: 1: "
    ):
        synapse.find(tmp_path)


def test_most_cases_decide_where_one_lacks_a_kidney():
    labels = [numbered(abdomen(0)[1], "CASCADE") for _ in range(3)]
    labels[0][labels[0] == 2] = 0
    assert recognise(labels, "here") == "CASCADE"


@pytest.mark.parametrize(("right", "wrong", "known"), [(2, 1, True), (1, 1, False), (1, 2, False)])
def test_more_than_half_of_the_cases_must_have_their_kidneys_in_place(right, wrong, known):
    label = abdomen(0)[1]
    labels = [label] * right + [swapped(label, 3, 4)] * wrong
    if known:
        assert recognise(labels, "here") == "TransUNet"
    else:
        with pytest.raises(UserError, match="order of the labels is not known for certain"):
            recognise(labels, "here")


@pytest.mark.parametrize(("wrong", "found"), [("CASCADE", "largest organ is 6"), ("BTCV", "reach 11 and the largest")])
def test_a_case_in_another_order_than_the_set_is_refused(wrong, found):
    label = numbered(abdomen(0)[1], wrong)
    with pytest.raises(UserError, match=rf"case0009.*{found}.*order of TransUNet.*Two orders must not be mixed"):
        to_organs(label, "TransUNet", "case0009")


def test_every_mixture_of_two_orders_is_refused():
    orders = ("BTCV", "TransUNet", "CASCADE")
    for order, wrong in itertools.permutations(orders, 2):
        with pytest.raises(UserError, match=rf"^case0009: .* order of {order}, .*Two orders must not be mixed"):
            to_organs(numbered(abdomen(0)[1], wrong), order, "case0009")
    for order in orders:
        np.testing.assert_array_equal(to_organs(numbered(abdomen(0)[1], order), order, "here"), abdomen(0)[1])


def test_a_case_of_eight_organs_in_a_set_of_thirteen_is_named(tmp_path):
    """The liver is 6 in BTCV and in CASCADE: what tells is that no scan of the abdomen lacks the vena cava."""
    for number, order in ((1, "BTCV"), (5, "CASCADE"), (40, "BTCV")):
        write_volume(tmp_path, number, order)
    with pytest.raises(
        UserError, match=r"case0005.npy.h5: the labels reach 8 and .*BTCV, which reaches 9 to 13 in every case"
    ):
        read_all(tmp_path)


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (14, "14"), (-1, "-1"), (np.nan, "nan"), (256, "256")])
def test_labels_that_are_no_organs_are_named(tmp_path, value, text):
    write_volume(tmp_path, 1)
    change_label(tmp_path / "case0001.npy.h5", lambda label: np.where(label == 2, value, label))
    with pytest.raises(UserError, match=rf"the label holds the values {text}; allowed are 0 to 13"):
        synapse.find(tmp_path)


def test_an_image_that_is_not_scaled_is_refused(tmp_path):
    write_slices(tmp_path, 5)
    path = tmp_path / "case0005_slice002.npz"
    with np.load(path) as arrays:
        np.savez(path, image=arrays["image"] * 255, label=arrays["label"])
    with pytest.raises(
        UserError, match=r"case0005_slice000.npz and the slices after it: the image ranges from 0 to 255"
    ):
        read_all(tmp_path)


def test_a_nifti_that_is_no_ct_is_refused(tmp_path):
    write_official(tmp_path, 1)
    synapse_official.read_nifti(path := tmp_path / "RawData/Training/img/img0001.nii.gz")
    label = tmp_path / "RawData/Training/label/label0001.nii.gz"
    shutil.copy(label, path)
    with pytest.raises(UserError, match=r"img0001.nii.gz: the smallest value is 0; a CT in Hounsfield units"):
        read_all(tmp_path)


@pytest.mark.parametrize("name", ["case0005_slice002.npz", "case0001.npy.h5"])
@pytest.mark.parametrize("kept", [0, 40, -30])
def test_cut_off_files_are_named(tmp_path, name, kept):
    write_volume(tmp_path, 1)
    write_slices(tmp_path, 5)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=rf"{name} is damaged or no (npz|h5) file"):
        read_all(tmp_path)


def test_files_with_other_names_inside_are_refused(tmp_path):
    write_slices(tmp_path, 5, keys=("x", "y"))
    with pytest.raises(UserError, match="holds x, y; expected are image and label or data and seg or img and label"):
        synapse.find(tmp_path)


def test_a_slice_named_as_volume_is_refused(tmp_path):
    write_slices(tmp_path, 5)
    for path in tmp_path.glob("*_slice*"):
        path.rename(tmp_path / "case0005.npz")
    with pytest.raises(UserError, match="an array has 2 axes; its name says that it has 3"):
        synapse.find(tmp_path)


def test_the_real_ct_is_the_same_in_all_layouts(verification, tmp_path):
    folder = verification("ct_one_case")
    for path in (folder / "synapse_layout/train_npz").iterdir():  # every second slice: renumbered without gaps
        number = int(path.stem[-3:]) // 2
        (tmp_path / f"case0001_slice{number:03d}.npz").symlink_to(path)
    raw = read_all(folder / "btcv_layout")["case0001"]
    volume = read_all(folder / "synapse_layout")["case0001"]
    slices = read_all(tmp_path)["case0001"]
    np.testing.assert_array_equal(raw.image, volume.image)
    np.testing.assert_array_equal(raw.label, volume.label)
    np.testing.assert_array_equal(raw.image[::2], slices.image)
    np.testing.assert_array_equal(raw.label[::2], slices.label)
    assert (raw.spacing, volume.spacing, slices.spacing) == ((3.0, 3.0, 3.0), None, None)
    assert np.bincount(raw.label.ravel()).tolist() == [1307786, 1806, 1321, 5133, 6854, 41733, 545, 9632, 5254]


def test_gaps_in_the_real_slices_are_found(verification):
    source = synapse.find(verification("ct_one_case") / "synapse_layout/train_npz")
    assert source.cases == []
    assert source.missing["case0001"].startswith("no slice 1, 3, 5, 7,")


def test_the_real_folder_with_two_layouts_is_refused(verification):
    with pytest.raises(UserError, match="in 2 layouts"):
        synapse.find(verification("ct_one_case"))
