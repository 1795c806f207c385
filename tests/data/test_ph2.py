"""PH2: the real files, the diagnosis table, and what is refused."""

import numpy as np
import pytest
from tiny_images import write_image, write_mask

from magicseg.data.sources import FORMATS
from magicseg.errors import UserError

find = FORMATS["ph2"].find
TABLE = (
    "||   Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry ||\n"
    "|| IMD003 ||                        ||                  0 ||         0 ||\n"
    "|| IMD058 || Melanoma               ||                  2 ||         2 ||\n"
    "Clinical Diagnosis:\n   0 - Common Nevus;\n"
)


@pytest.mark.parametrize("name", ["ph2_256", "ph2_256_jpg"])
def test_the_real_set_has_200_cases(verification, name):
    source = find(verification(name))
    assert (len(source.cases), source.missing, source.notes) == (200, {}, [])
    assert (source.cases[0].name, source.cases[-1].name) == ("IMD002", "IMD437")


def test_real_1_bit_masks_are_the_same_in_both_forms(verification):
    bmp, jpg = (find(verification(name)).cases[::20] for name in ("ph2_256", "ph2_256_jpg"))
    for one, other in zip(bmp, jpg, strict=True):
        of_one, of_other = one.read(), other.read()
        np.testing.assert_array_equal(of_one.label, of_other.label)
        np.testing.assert_array_equal(of_one.image, of_other.image)  # the bmp files were made of the jpg files
        assert np.unique(of_one.label).tolist() == [0, 1]


def test_real_images_at_original_size_differ_in_size(verification):
    source = find(verification("ph2_original_sample"))
    shapes = [case.read().image.shape for case in source.cases]
    assert len(shapes) == 5
    assert len(set(shapes)) > 1
    assert all(shape[0] == 1 and shape[3] == 3 and 760 < shape[2] < 770 for shape in shapes)
    assert len(source.missing) == 195
    assert source.missing["unnamed ph2 image 195"] == "ph2 has 5 of 200 images"


def test_a_flat_folder_with_the_diagnosis_table(tmp_path):
    for name in ("IMD003", "imd058"):
        pixels = write_image(tmp_path / f"images/{name}.PNG", seed=7)
        mask = write_mask(tmp_path / f"masks/{name}_lesion.png")
    write_image(tmp_path / "images/IMD003_R1_Label4.png")
    write_image(tmp_path / "images/IMD100.png")
    (tmp_path / "PH2_dataset.txt").write_text(TABLE)
    source = find(tmp_path)
    assert [case.name for case in source.cases] == ["IMD003", "IMD058"]
    assert [case.facts for case in source.cases] == [{"diagnosis": "common nevus"}, {"diagnosis": "melanoma"}]
    assert source.missing["IMD100"] == "the mask is not there"
    assert len(source.missing) == 1 + 197
    np.testing.assert_array_equal(source.cases[1].read().image[0], pixels)
    np.testing.assert_array_equal(source.cases[1].read().label[0], mask > 0)


def test_jpeg_masks_are_noted(tmp_path):
    write_image(tmp_path / "IMD003.jpg")
    write_mask(tmp_path / "IMD003_lesion.jpg")
    assert find(tmp_path).notes == ["1 masks are JPEG files, whose values are not exact: above 127 counts as object."]


def test_nothing_and_twice_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"is not a folder: PH2 .*fc\.up\.pt"):
        find(tmp_path / "none")
    with pytest.raises(UserError, match=r"No PH2 data below .*IMDxxx_lesion\.bmp\. .*fc\.up\.pt"):
        find(tmp_path)
    write_image(tmp_path / "IMD003.jpg")
    write_image(tmp_path / "IMD003.bmp")
    with pytest.raises(UserError, match=r"IMD003\.bmp and .*IMD003\.jpg are both there for the same item"):
        find(tmp_path)
