"""One's own folder: every usual arrangement gives the same cases; what is ambiguous is refused in words."""

import json

import nibabel
import numpy as np
import pytest
from PIL import Image
from tiny_acdc import write_h5
from tiny_folder import NAMES, expect_set, mask, picture, read_all, write, write_set

from magicseg.data.sources import folder
from magicseg.errors import UserError


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        *[("images", "masks"), ("Images", "labels"), ("image", "label"), ("img", "labelcol"), ("imgs", "mask")],
        ("imagesTr", "labelsTr"),
    ],
)
@pytest.mark.parametrize("ending", ["", "_mask", "_seg", "_segmentation", "_gt", "_label", "-labels"])
def test_usual_names_of_folders_and_masks(tmp_path, images, masks, ending):
    write_set(tmp_path / "below", images, masks, ending)
    expect_set(read_all(tmp_path))
    assert folder.find(tmp_path).layout == "images with masks (grey)"


@pytest.mark.parametrize("suffixes", [(".png", ".bmp"), (".tif", ".png"), (".npy", ".npy"), (".npy", ".png")])
def test_usual_files(tmp_path, suffixes):
    write_set(tmp_path, suffixes=suffixes)
    expect_set(read_all(tmp_path))


def test_files_of_other_sorts_and_hidden_ones_are_not_looked_at(tmp_path):
    write_set(tmp_path)
    (tmp_path / "images/Thumbs.db").write_text("")
    (tmp_path / "images/._a.png").write_text("")
    expect_set(read_all(tmp_path))


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".H5", ".NPZ"])
def test_files_that_hold_image_and_label(tmp_path, suffix):
    for seed, name in enumerate(NAMES):
        if suffix.lower() == ".h5":
            write_h5(tmp_path / f"{name}{suffix}", picture(seed), mask(seed))
        else:
            with (tmp_path / f"{name}{suffix}").open("wb") as file:  # a name would get the suffix again
                np.savez(file, image=picture(seed), label=mask(seed))
    expect_set(read_all(tmp_path))
    np.savez(tmp_path / "d.npz", x=1)
    with pytest.raises(UserError, match=r"d.npz: holds x; expected are image and label"):
        folder.find(tmp_path)


def test_nnunet_images_end_in_the_channel(tmp_path):
    for seed, name in enumerate(NAMES):
        write(tmp_path / f"imagesTr/{name}_0000.png", picture(seed))
        write(tmp_path / f"labelsTr/{name}.png", mask(seed))
    expect_set(read_all(tmp_path))


def test_images_and_masks_counted_from_0000_keep_their_names(tmp_path):
    names = ("a_0000", "a_0001")
    write_set(tmp_path, ending="_mask", names=names)
    expect_set(read_all(tmp_path), names)


def test_one_coloured_image_makes_all_rgb(tmp_path):
    write_set(tmp_path)
    write(tmp_path / "images/b.png", picture(9, rgb=True))
    source = folder.find(tmp_path)
    assert source.layout == "images with masks (rgb)"
    a, b, _ = (case.read().image for case in source.cases)
    np.testing.assert_array_equal(a, np.repeat(picture(0)[np.newaxis, ..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(b, picture(9, rgb=True)[np.newaxis])


def test_one_coloured_array_makes_all_rgb(tmp_path):
    write_set(tmp_path, suffixes=(".npy", ".npy"))
    write(tmp_path / "images/b.npy", picture(9, rgb=True))
    assert {volume.image.shape for volume in read_all(tmp_path).values()} == {(1, 6, 8, 3)}


def test_mixed_sizes_are_kept(tmp_path):
    write_set(tmp_path)
    write(tmp_path / "images/b.png", picture(1, (9, 5)))
    write(tmp_path / "masks/b.png", mask(1, size=(9, 5)))
    assert [volume.label.shape for volume in read_all(tmp_path).values()] == [(1, 6, 8), (1, 9, 5), (1, 6, 8)]


def test_volumes_of_mixed_types_are_scaled_each_by_itself(tmp_path):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (3, 4, 5)).astype(np.uint8)
    images = {
        "a": rng.random((3, 4, 5)).astype(np.float32) * 3000,
        "b": rng.integers(5, 99, (3, 4, 5)).astype(np.uint8),
    }
    for name, image in images.items():
        write(tmp_path / f"imagesTr/{name}.nii.gz", image)
        write(tmp_path / f"labelsTr/{name}.nii.gz", label)
    source = folder.find(tmp_path)
    assert source.layout == "images with masks (volume)"
    assert source.cases[0].facts == {"intensity": "each volume scaled by its minimum and maximum"}
    for case in source.cases:
        volume, raw = case.read(), images[case.name].astype(float)
        np.testing.assert_allclose(volume.image, (raw - raw.min()) / (raw.max() - raw.min()), atol=1e-7)
        assert (volume.image.min(), volume.image.max(), volume.image.dtype) == (0, 1, np.float32)
        np.testing.assert_array_equal(volume.label, label)
        assert volume.spacing == (3, 2, 1)


def test_nifti_axes_are_flipped_to_point_alike_and_keep_their_order(tmp_path):
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    for name, signs in (("a", (1, 1, 1)), ("b", (-1, 1, -1))):
        affine = np.diag([*signs, 1.0])[[1, 0, 2, 3]]  # the first axis is the patient's anterior
        flipped = voxels[:: signs[0], :: signs[1], :: signs[2]]
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
            stored = flipped if kind == "images" else (flipped > 30).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / kind / f"{name}.nii")
    source = folder.find(tmp_path)
    a, b = (case.read() for case in source.cases)
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.label, b.label)
    np.testing.assert_allclose(a.image[0], voxels[..., 0].T / 59, atol=1e-7)
    assert source.notes == ["The files' axes point to ARS (1), PRI (1); flipped to point right, anterior and superior."]


@pytest.mark.parametrize(
    ("values", "classes", "note"),
    [
        ((0, 1), ("background", "class_1"), None),
        ((0, 255), ("background", "class_1"), "Mask values: 0 became 0 (background), 255 became 1 (class_1)."),
        ((0, 1, 2), ("background", "class_1", "class_2"), None),
        ((1, 2), ("background", "class_1", "class_2"), None),
        (
            (0, 3, 9),
            ("background", "class_1", "class_2"),
            "Mask values: 0 became 0 (background), 3 became 1 (class_1), ",
        ),
    ],
)
def test_classes_are_the_values_found(tmp_path, values, classes, note):
    write_set(tmp_path, values=values)
    source = folder.find(tmp_path)
    assert source.classes == classes
    assert [text.startswith(note) for text in source.notes] == ([True] if note else [])
    ranks = {value: rank for rank, value in enumerate(sorted({0, *values}))}
    for seed, case in enumerate(source.cases):
        expected = np.vectorize(ranks.get)(mask(seed, values))
        np.testing.assert_array_equal(case.read().label[0], expected)


def test_classes_txt_names_values_and_those_that_never_occur(tmp_path):
    write_set(tmp_path, values=(0, 2))
    (tmp_path / "classes.txt").write_text("background\ntumour core\n\noedema\n")
    source = folder.find(tmp_path)
    assert source.classes == ("background", "tumour_core", "oedema")
    assert set(np.unique(source.cases[0].read().label)) == {0, 2}


def test_classes_txt_names_the_values_in_order_where_they_are_larger(tmp_path):
    write_set(tmp_path, values=(0, 255))
    (tmp_path / "classes.txt").write_text("background\npolyp\n")
    assert folder.find(tmp_path).classes == ("background", "polyp")


@pytest.mark.parametrize(
    "labels", [{"0": "background", "1": "Anterior", "7": "the rest"}, {"background": 0, "Anterior": 1, "the rest": 7}]
)
def test_dataset_json_names_the_values(tmp_path, labels):
    write_set(tmp_path, "imagesTr", "labelsTr", values=(0, 7))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    source = folder.find(tmp_path)
    assert source.classes == ("background", "Anterior", "the_rest")
    assert set(np.unique(source.cases[0].read().label)) == {0, 2}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("classes.txt", "background\na\n", r"classes.txt: names the values 0, 1; the masks hold 5, 9 besides"),
        ("classes.txt", "background\na\na\n", "names a class twice"),
        ("dataset.json", '{"labels": {"1": "a"}}', r"dataset.json: names the values 0, 1; the masks hold 5, 9 besides"),
        ("dataset.json", '{"labels": {"1": "a", "5": "a"}}', "names a class twice"),
        ("dataset.json", '{"labels": {"0": "x", "1": "a"}}', "or 0 is not the background"),
        ("dataset.json", '{"labels": {"whole": [1, 2]}}', r'labels are .*expected is \{"0": "background"'),
        ("dataset.json", '{"labels": {"ignored": -1, "a": 5, "b": 9}}', "names, 4 values from -1 to 9; allowed are 0"),
        ("classes.txt", "\n".join(map(str, range(257))), "names, 257 values from 0 to 256; .* 255 values above it"),
        ("dataset.json", "[]", "labels are None"),
        ("dataset.json", "{", "cannot be read as JSON"),
        ("masks/classes.txt", "background\na\nb\n", None),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, file, text, message):
    write_set(tmp_path, values=(0, 5, 9))
    (tmp_path / file).write_text(text)
    if message is None:
        assert folder.find(tmp_path).classes == ("background", "a", "b")
        (tmp_path / "dataset.json").write_text("{}")
        message = "both name the classes"
    with pytest.raises(UserError, match=message):
        folder.find(tmp_path)


@pytest.mark.parametrize(
    ("values", "text"), [((0,), "hold 1 values up to 0"), (range(100), "hold 100 values up to 99")]
)
def test_masks_without_classes_are_refused(tmp_path, values, text):
    write(tmp_path / "images/a.png", picture(0, (10, 10)))
    write(tmp_path / "masks/a.png", mask(0, tuple(values), (10, 10)))
    with pytest.raises(UserError, match=rf"{text}.*smooth edges"):
        folder.find(tmp_path)


@pytest.mark.parametrize("names", [None, "background\na\nb\n"])
def test_values_below_the_background_are_refused_by_name(tmp_path, names):
    """Counted up from the lowest one, 0 would become a class."""
    write_set(tmp_path, suffixes=(".png", ".npy"))
    write(tmp_path / "masks/b.npy", mask(1).astype(np.int8) - np.eye(6, 8, dtype=np.int8))
    if names:
        (tmp_path / "classes.txt").write_text(names)
    with pytest.raises(UserError, match=r"masks/b.npy: .* 3 values from -1 to 1; allowed are 0 for the background"):
        folder.find(tmp_path)


def smooth(size):
    """A mask of 0 and 255 that was resized: values between them along the edge."""
    disc = ((np.indices((6, 8)) - 3) ** 2).sum(axis=0) < 6
    return np.asarray(Image.fromarray((disc * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))


def test_masks_with_smooth_edges_are_refused_by_name(tmp_path):
    write_set(tmp_path, values=(0, 255))
    write(tmp_path / "masks/b.png", smooth((8, 6))), write(tmp_path / "masks/c.png", smooth((16, 12)))
    write(tmp_path / "images/c.png", picture(2, (12, 16)))
    assert 3 < len(np.unique(smooth((16, 12)))) < 64
    with pytest.raises(UserError, match=r"masks/a.png holds the mask value 255, .*masks/c.png \d+ besides 0.*smooth"):
        folder.find(tmp_path)


@pytest.mark.parametrize("names", [None, "background\nfat\n", "background\na\nb\nc\n"])
def test_masks_of_0_and_1_among_masks_of_0_and_255_are_refused_by_name(tmp_path, names):
    write_set(tmp_path, values=(0, 255))
    write(tmp_path / "masks/b.png", mask(1, (0, 1)))
    if names:
        (tmp_path / "classes.txt").write_text(names)
    message = r"classes.txt: names the values" if names else r"a.png holds the mask value 255, .*b.png 1 besides 0"
    with pytest.raises(UserError, match=message):
        folder.find(tmp_path)


def test_a_class_of_value_255_beside_others_must_be_named(tmp_path):
    write_set(tmp_path, values=(0, 7, 255))
    with pytest.raises(UserError, match=r"255, .*a.png 7 besides 0.*name the classes in classes.txt"):
        folder.find(tmp_path)
    (tmp_path / "classes.txt").write_text("background\nfat\nother\n")
    assert folder.find(tmp_path).classes == ("background", "fat", "other")


def test_masks_of_whole_floating_point_numbers_are_read(tmp_path):
    write_set(tmp_path, suffixes=(".npy", ".npy"))
    write(tmp_path / "masks/b.npy", mask(1).astype(np.float32))
    expect_set(read_all(tmp_path))


def test_jpeg_masks_are_cut_at_127(tmp_path):
    write_set(tmp_path)
    (tmp_path / "masks/b.png").unlink()
    for name in "ac":
        write(tmp_path / f"masks/{name}.png", mask(0, (0, 255)))
    disc = ((np.indices((6, 8)) - 3) ** 2).sum(axis=0) < 6
    Image.fromarray((disc * 255).astype(np.uint8)).save(tmp_path / "masks/b.jpg", quality=90)
    source = folder.find(tmp_path)
    assert source.classes == ("background", "class_1")
    assert source.notes[1] == "1 masks are JPEG files, which blur values: read as one class, above 127."
    np.testing.assert_array_equal(source.cases[1].read().label[0], disc)


def test_images_without_mask_and_masks_without_image_are_missing(tmp_path):
    write_set(tmp_path, ending="_mask", names=(*NAMES, "d", "e"))
    (tmp_path / "masks/d_mask.png").unlink()
    (tmp_path / "images/e.png").unlink()
    source = folder.find(tmp_path)
    assert [case.name for case in source.cases] == list(NAMES)
    assert source.missing == {"d": "no mask for d.png", "e": "no image for e_mask.png"}


def test_no_pair_at_all_is_refused(tmp_path):
    write_set(tmp_path, ending="_x")
    with pytest.raises(UserError, match=r"No image below .* has a mask: a is one of 6.*Put images into images/"):
        folder.find(tmp_path)


def test_the_mark_that_windows_puts_before_a_text_is_no_part_of_it(tmp_path):
    write_set(tmp_path / "lists_and_text")
    (tmp_path / "lists_and_text/train.txt").write_text("a\nb\n", encoding="utf-8-sig")
    (tmp_path / "lists_and_text/test.txt").write_text("c\n", encoding="utf-8-sig")
    (tmp_path / "lists_and_text/classes.txt").write_text("background\nGefäß\n", encoding="utf-8-sig")
    source = folder.find(tmp_path / "lists_and_text")
    assert source.classes == ("background", "Gefäß")
    assert [case.facts for case in source.cases] == [{"part": "train"}, {"part": "train"}, {"part": "test"}]
    assert source.missing == {}
    write_set(tmp_path / "json")
    (tmp_path / "json/dataset.json").write_text('{"labels": {"1": "polyp"}}', encoding="utf-8-sig")
    assert folder.find(tmp_path / "json").classes == ("background", "polyp")


def two_places(root):
    write_set(root / "x")
    write_set(root / "y")


def two_mask_folders(root):
    write_set(root)
    write_set(root, masks="labels")


def two_masks(root):
    write_set(root)
    write(root / "masks/a_mask.png", mask(0))


def two_images(root):
    write_set(root)
    write(root / "images/a.bmp", picture(0))


def equal_names(root):
    write_set(root, names=("a b", "a_b"))


def two_sorts(root):
    write_set(root)
    write(root / "images/a.npy", picture(0))
    (root / "images/a.png").unlink()


def nifti_with_picture(root):
    write(root / "images/a.nii", np.random.default_rng(0).random((3, 4, 5)))
    write(root / "masks/a.png", mask(0))


def colour_and_volume(root):
    write_set(root, suffixes=(".npy", ".npy"))
    write(root / "images/a.npy", picture(0, rgb=True))
    write(root / "images/b.npy", picture(1).astype(np.float32))


def wrong_size(root):
    write_set(root)
    write(root / "masks/a.png", mask(0, size=(6, 9)))


def fractions(root):
    write_set(root, suffixes=(".npy", ".npy"))
    write(root / "masks/b.npy", mask(1) / 2)


def constant_volume(root):
    write(root / "images/a.nii", np.full((3, 4, 5), 7.0))
    write(root / "masks/a.nii", np.arange(60, dtype=np.uint8).reshape(3, 4, 5) // 30)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (two_places, r"x and .*y both hold images with masks"),
        (two_mask_folders, r"labels and .*masks could both be meant"),
        (two_masks, r"both masks of a.png"),
        (two_images, r"a.bmp and .*a.png are both there"),
        (equal_names, r"are both there for the same item"),
        (two_sorts, r"a.npy and .*b.png are files of different sorts"),
        (nifti_with_picture, r"a.png: the mask of a NIfTI image must be a NIfTI file too"),
        (colour_and_volume, r"a.npy is an RGB image, .*b.npy is not of 8 bits"),
        (wrong_size, r"a.png with a.png: the image has shape \(6, 8\) and the label \(6, 9\)"),
        (fractions, r"b.npy: the mask holds 0.5; allowed are whole numbers"),
        (constant_volume, r"a.nii: every voxel has the value 7"),
    ],
)
def test_what_is_ambiguous_or_does_not_fit_is_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        read_all(tmp_path)


@pytest.mark.parametrize("place", [None, "nowhere", "."])
def test_without_data_the_text_says_how_to_arrange_it(tmp_path, place):
    with pytest.raises(UserError, match=r"Put images into images/ .*dataset=folder source=FOLDER"):
        folder.find(place and tmp_path / place)
