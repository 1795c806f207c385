"""Which files are segmented, and where their label maps go."""

from pathlib import Path

import pytest

from magicseg.errors import UserError
from magicseg.inference.destination import Destination
from magicseg.inference.items import find_items, target


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.jpg", "a.png"),
        ("b/A.TIF", "b/A.png"),
        ("a.nii", "a.nii.gz"),
        ("b/a.v2.NII.GZ", "b/a.v2.nii.gz"),
        ("a.npy", "a.npy"),
    ],
)
def test_targets(image, label):
    assert target(Path(image)) == Path(label)


def test_a_folder_is_searched_but_not_what_was_made(tmp_path):
    fill(
        tmp_path, "b.jpg", "a/c.nii.gz", "a/c.txt", ".hidden.png", "labels/b.png", "overlays/b.png", "more/labels/d.png"
    )
    found = find_items(tmp_path, Destination(tmp_path))
    assert [str(item.target) for item in found] == ["a/c.nii.gz", "b.png", "more/labels/d.png"]
    assert [item.path.name for item in found] == ["c.nii.gz", "b.jpg", "d.png"]
    assert [item.path.name for item in find_items(tmp_path, Destination(tmp_path), "*.jpg")] == ["b.jpg"]


def test_a_single_file(tmp_path):
    fill(tmp_path, "a/b.tif")
    (item,) = find_items(tmp_path / "a" / "b.tif", Destination(tmp_path / "out"))
    assert item.target == Path("b.png")


@pytest.mark.parametrize("source", ["nowhere", "empty"])
def test_nothing_to_segment(tmp_path, source):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"input=.*{source} is no image and no folder with images"):
        find_items(tmp_path / source, Destination(tmp_path / "out"))


def test_two_images_with_one_label_map(tmp_path):
    fill(tmp_path, "a.jpg", "a.png")
    with pytest.raises(UserError, match=r"a.jpg and .*a.png would both become a.png.*pattern=\*.png"):
        find_items(tmp_path, Destination(tmp_path / "out"))


def test_an_image_is_not_replaced_by_its_label_map(tmp_path):
    fill(tmp_path, "labels/a.png")
    with pytest.raises(UserError, match=r"a.png would be replaced by its own label map"):
        find_items(tmp_path / "labels" / "a.png", Destination(tmp_path))
