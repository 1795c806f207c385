"""GlaS: both layouts, the real files, and what is refused."""

from collections import Counter

import numpy as np
import pytest
from tiny_images import write_image, write_mask

from magicseg.data.sources import FORMATS
from magicseg.errors import UserError

find = FORMATS["glas"].find
GRADES = "name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)\rtrain_1,4, benign, adenomatous\r"


def parts(source):
    return Counter(case.facts["part"] for case in source.cases)


def test_the_real_half_size_set_is_complete(verification):
    source = find(verification("glas_half"))
    assert source.missing == {}
    assert parts(source) == {"train": 85, "testA": 60, "testB": 20}
    grades = Counter((case.facts["part"][:5].rstrip("AB"), case.facts["grade"]) for case in source.cases)
    assert grades == {  # Sirinukunwattana et al., 2017
        ("train", "benign"): 37,
        ("train", "malignant"): 48,
        ("test", "benign"): 37,
        ("test", "malignant"): 43,
    }
    assert source.notes == ["Patients with images both in the training and in the test parts (Grade.csv): 11."]
    assert len({case.subject for case in source.cases}) == 16


def test_14_real_images_are_smaller_than_the_others(verification):
    shapes = Counter(case.read().label.shape for case in find(verification("glas_half")).cases)
    assert shapes.most_common(1) == [((1, 261, 388), 151)]
    assert sum(shapes.values()) == 165


def test_real_glands_are_numbered(verification):
    cases = {case.name: case for case in find(verification("glas_original_sample")).cases}
    assert len(cases) == 7
    volume = cases["testA_13"].read()
    assert volume.image.shape == (1, 522, 775, 3)
    assert volume.image.dtype == np.uint8
    np.testing.assert_array_equal(volume.label, volume.instances > 0)
    glands = {name: len(np.unique(case.read().instances)) - 1 for name, case in cases.items()}
    assert (glands["train_14"], glands["train_8"], glands["testB_13"]) == (1, 17, 8)


def test_a_sample_names_what_is_missing(verification):
    missing = find(verification("glas_original_sample")).missing
    assert len(missing) == 165 - 7
    assert set(missing.values()) == {"neither image nor mask is there"}


def test_annotation_without_image_and_image_without_annotation(tmp_path):
    pixels = write_image(tmp_path / "deep/Train_1.BMP")
    write_mask(tmp_path / "deep/train_1_anno.bmp", (0, 3, 9))
    write_image(tmp_path / "train_2.bmp")
    write_mask(tmp_path / "train_3_anno.bmp")
    (tmp_path / "Grade.csv").write_bytes(GRADES.encode())
    source = find(tmp_path)
    assert [(case.name, case.subject) for case in source.cases] == [("train_1", "patient4")]
    assert source.cases[0].facts == {"part": "train", "patient": 4, "grade": "benign", "grade_2015": "adenomatous"}
    assert source.missing["train_2"] == "the mask is not there"
    assert source.missing["train_3"] == "the image is not there"
    volume = source.cases[0].read()
    np.testing.assert_array_equal(volume.image[0], pixels)
    assert np.unique(volume.instances).tolist() == [0, 3, 9]
    assert np.unique(volume.label).tolist() == [0, 1]


def test_patients_in_training_and_in_test_are_counted(tmp_path):
    patients = {"train_1": 4, "train_2": 5, "testA_1": 4, "testB_1": 6}
    for name in patients:
        write_image(tmp_path / f"{name}.bmp"), write_mask(tmp_path / f"{name}_anno.bmp")
    (tmp_path / "Grade.csv").write_text("".join(f"{name},{number}, x, y\n" for name, number in patients.items()))
    assert find(tmp_path).notes == ["Patients with images both in the training and in the test parts (Grade.csv): 1."]


def test_uctransnet_folders(tmp_path):
    for part, stem, values in (("Train", "a 1", (0, 255, 100)), ("Val", "1", (0, 1, 2)), ("Test", "test_1", (0, 255))):
        write_image(tmp_path / f"GlaS/{part}_Folder/img/{stem}.jpg")
        write_mask(tmp_path / f"GlaS/{part}_Folder/labelcol/{stem}.png", values)
    write_image(tmp_path / "GlaS/Test_Folder/img/2.png")
    source = find(tmp_path)
    assert [(case.name, case.facts["part"]) for case in source.cases] == [
        ("test_1", "test"),
        ("train_a_1", "train"),
        ("val_1", "val"),
    ]
    assert source.missing == {"test_2": "the mask is not there"}
    assert source.notes == ["4 images are there; GlaS has 165."]
    labels = [case.read().label[0, :3, 0].tolist() for case in source.cases]
    assert labels == [[0, 1, 0], [0, 1, 0], [0, 1, 1]]
    assert source.cases[0].read().instances is None


def test_names_that_fall_together_are_refused(tmp_path):
    for stem in ("1", "train_1"):
        write_image(tmp_path / f"Train_Folder/img/{stem}.png")
    with pytest.raises(UserError, match="names that differ only in"):
        find(tmp_path)


def test_nothing_both_and_twice_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"No source folder given: GlaS .*warwick"):
        find(None)
    with pytest.raises(UserError, match=r"No GlaS data below .*Train_Folder/img.*warwick"):
        find(tmp_path)
    write_image(tmp_path / "train_1.bmp")
    write_image(tmp_path / "copy/train_1.bmp")
    with pytest.raises(UserError, match=r"train_1\.bmp and .*train_1\.bmp are both there for the same item"):
        find(tmp_path)
    (tmp_path / "copy/train_1.bmp").unlink()
    write_image(tmp_path / "Train_Folder/img/train_1.bmp")
    with pytest.raises(UserError, match="in 2 layouts: official bmp, UCTransNet folders"):
        find(tmp_path)
