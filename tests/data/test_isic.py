"""ISIC 2016, 2017, 2018: official folders, npy files, the real images, and what is refused."""

import json
from collections import Counter

import numpy as np
import pytest
from tiny_images import write_image, write_mask

from magicseg.data.sources import FORMATS
from magicseg.errors import UserError

FOLDERS = {
    "isic2016": ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth", "_Segmentation"),
    "isic": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth", "_segmentation"),
    "isic2018": ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth", "_segmentation"),
}
TRAIN = {"isic2016": 900, "isic": 2000, "isic2018": 2594}


def find(dataset, folder):
    return FORMATS[dataset].find(folder)


def parts(source):
    return Counter(case.facts["part"] for case in source.cases)


def test_the_real_2017_names_every_absent_image(verification):
    folder = verification("isic2017_256")
    source = find("isic", folder)
    assert parts(source) == {"train": 1800, "val": 121, "test": 529}
    absent = json.loads((folder / "official_ids_missing.json").read_text())
    assert set(source.missing) == {name for part in absent.values() for name in part["missing"]}
    assert set(source.missing.values()) == {"neither image nor mask is there"}


def test_the_real_2018_is_complete(verification):
    source = find("isic2018", verification("isic2018_256"))
    assert parts(source) == {"train": 2594}
    assert (source.missing, source.notes) == ({}, [])
    volume = source.cases[0].read()
    assert (volume.image.shape, volume.image.dtype) == ((1, 256, 256, 3), np.uint8)
    assert np.unique(volume.label).tolist() == [0, 1]


def test_a_real_sample_is_missing_by_count(verification):
    source = find("isic2018", verification("isic2018_512_sample"))
    assert len(source.cases) == 40
    assert len(source.missing) == 2554
    assert source.missing["unnamed train image 2554"] == "train has 40 of 2594 images"


@pytest.mark.parametrize("dataset", FOLDERS)
def test_official_folders(tmp_path, dataset):
    images, masks, suffix = FOLDERS[dataset]
    pixels = write_image(tmp_path / images / images / "ISIC_0000001.PNG")
    mask = write_mask(tmp_path / masks / f"ISIC_0000001{suffix}.png")
    write_image(tmp_path / images / images / "ISIC_0000001_superpixels.png", seed=1)
    write_image(tmp_path / images / images / "ISIC_0000002.jpg")
    write_mask(tmp_path / masks / f"ISIC_0000003{suffix}.png")
    write_image(tmp_path / "elsewhere/ISIC_0000004.jpg")
    source = find(dataset, tmp_path)
    (case,) = source.cases
    assert (case.name, case.facts) == ("ISIC_0000001", {"part": "train"})
    np.testing.assert_array_equal(case.read().image[0], pixels)
    np.testing.assert_array_equal(case.read().label[0], mask > 0)
    assert source.missing["ISIC_0000002"] == "the mask is not there"
    assert source.missing["ISIC_0000003"] == "the image is not there"
    unnamed = [name for name in source.missing if name.startswith("unnamed train")]
    assert len(unnamed) == TRAIN[dataset] - 3


def test_parts_of_2017_and_its_lists(tmp_path):
    for part, ids in (("Training", (0, 1)), ("Validation", (2,)), ("Test_v2", (3,))):
        for number in ids:
            write_image(tmp_path / f"ISIC-2017_{part}_Data/ISIC_{number:07d}.jpg")
            write_mask(tmp_path / f"ISIC-2017_{part}_Part1_GroundTruth/ISIC_{number:07d}_segmentation.png")
    table = tmp_path / "ISIC-2017_Validation_Data/ISIC-2017_Validation_Data_metadata.csv"
    table.write_text("image_id,age_approximate,sex\nISIC_0000002,50,male\nISIC_0000009,unknown,female\n")
    (tmp_path / "official_ids_missing.json").write_text('{"Test_v2": ["ISIC_0000008"], "why": "not ISIC_0000007"}')
    source = find("isic", tmp_path)
    assert parts(source) == {"train": 2, "val": 1, "test": 1}
    listed = {name: reason for name, reason in source.missing.items() if name.startswith("ISIC")}
    assert listed == dict.fromkeys(["ISIC_0000009", "ISIC_0000008"], "neither image nor mask is there")
    assert not any("not read" in note for note in source.notes)
    counts = Counter(name.split()[1] for name in source.missing if name.startswith("unnamed"))
    assert counts == {"train": 1998, "val": 148, "test": 598}


def test_validation_images_of_2018_are_left_aside_with_a_note(tmp_path):
    for number, part in enumerate(("Training", "Validation")):
        write_image(tmp_path / f"ISIC2018_Task1-2_{part}_Input/ISIC_000000{number}.jpg")
        write_mask(tmp_path / f"ISIC2018_Task1_{part}_GroundTruth/ISIC_000000{number}_segmentation.png")
    source = find("isic2018", tmp_path)
    assert parts(source) == {"train": 1}
    assert source.notes == ["The 1 images of val are not read: the papers use train of ISIC 2018."]


def test_one_image_twice_or_in_two_parts_is_refused(tmp_path):
    write_image(tmp_path / "ISIC-2017_Training_Data/ISIC_0000001.jpg")
    write_image(tmp_path / "ISIC-2017_Test_v2_Data/ISIC_0000001.jpg")
    with pytest.raises(UserError, match="ISIC_0000001 is both in test and in train"):
        find("isic", tmp_path)
    write_image(tmp_path / "ISIC-2017_Test_v2_Data/ISIC_0000001.png")
    with pytest.raises(UserError, match="both there for the same item"):
        find("isic", tmp_path)


def test_nothing_and_another_year_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"No ISIC 2016 data below .*ISBI2016.*challenge\.isic-archive\.com/data/#2016"):
        find("isic2016", tmp_path)
    write_image(tmp_path / "ISIC2018_Task1-2_Training_Input/ISIC_0000001.jpg")
    with pytest.raises(UserError, match="of another year: dataset=isic2018"):
        find("isic", tmp_path)


def write_stacks(folder, part="train", images=(3, 4, 5, 3), masks=(3, 4, 5), names=("data_{}", "mask_{}")):
    rng = np.random.default_rng(len(part))
    arrays = rng.integers(0, 256, images).astype(np.uint8), rng.integers(0, 256, masks).astype(np.uint8)
    for name, array in zip(names, arrays, strict=True):
        np.save(folder / f"{name.format(part)}.npy", array)
    return arrays


def test_transfuse_files(tmp_path):
    images, masks = write_stacks(tmp_path)
    write_stacks(tmp_path, "test")
    source = find("isic", tmp_path)
    assert [case.name for case in source.cases][2:4] == ["train_0002", "test_0000"]
    assert parts(source) == {"train": 3, "test": 3}
    volume = source.cases[2].read()
    np.testing.assert_array_equal(volume.image[0], images[2])
    np.testing.assert_array_equal(volume.label[0], masks[2] > 127)
    assert volume.label.dtype == np.uint8
    assert "interpolation" in source.notes[0]
    assert len({case.fingerprint() for case in source.cases}) == 6


def test_mediseg_files(tmp_path):
    (tmp_path / "NumpyData").mkdir()
    images, masks = write_stacks(tmp_path / "NumpyData", names=("img", "mask"))
    np.save(tmp_path / "NumpyData/mask.npy", np.repeat(masks[..., None], 3, axis=3))
    np.save(tmp_path / "NumpyData/filename.npy", np.array([f"ISIC_000000{i}.jpg" for i in range(3)]))
    source = find("isic2018", tmp_path)
    assert [case.name for case in source.cases] == ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002"]
    np.testing.assert_array_equal(source.cases[1].read().image[0], images[1])
    np.testing.assert_array_equal(source.cases[1].read().label[0], masks[1] > 127)
    np.save(tmp_path / "NumpyData/filename.npy", np.array(["a.jpg", "a.jpg", "b.jpg"]))
    with pytest.raises(UserError, match=r"filename\.npy holds 2 names for 3 images"):
        find("isic2018", tmp_path)
    np.save(tmp_path / "NumpyData/filename.npy", np.array(["a", None], object))
    with pytest.raises(UserError, match=r"filename\.npy is damaged or no npy file"):
        find("isic2018", tmp_path)


def test_npy_files_that_do_not_fit_are_refused(tmp_path):
    write_stacks(tmp_path, masks=(2, 4, 5))
    with pytest.raises(UserError, match=r"data_train\.npy has shape .*mask_train\.npy \(2, 4, 5\)"):
        find("isic", tmp_path)
    np.save(tmp_path / "mask_train.npy", np.zeros((3, 4, 5)))
    with pytest.raises(UserError, match=r"mask_train\.npy: holds float64 values; allowed is uint8"):
        find("isic", tmp_path)
    (tmp_path / "mask_train.npy").unlink()
    with pytest.raises(UserError, match=r"mask_train\.npy is damaged or no npy file .*No such file"):
        find("isic", tmp_path)
    write_stacks(tmp_path)
    content = (tmp_path / "data_train.npy").read_bytes()
    open_bracket = content.replace(b"(3, ", b"((3,")  # upon which NumPy's tokenizer gives up
    for damaged in (*(content[:length] for length in (0, 10, 100, len(content) - 1)), open_bracket):
        (tmp_path / "data_train.npy").write_bytes(damaged)
        with pytest.raises(UserError, match=r"data_train\.npy is damaged"):
            find("isic", tmp_path)


def test_two_sets_and_two_layouts_are_refused(tmp_path):
    (tmp_path / "copy").mkdir()
    write_stacks(tmp_path)
    write_stacks(tmp_path / "copy")
    with pytest.raises(UserError, match="are both the train images"):
        find("isic", tmp_path)
    (tmp_path / "copy/data_train.npy").unlink()
    write_image(tmp_path / "ISIC-2017_Training_Data/ISIC_0000001.jpg")
    with pytest.raises(UserError, match="in 2 layouts: official folders, TransFuse npy"):
        find("isic", tmp_path)
