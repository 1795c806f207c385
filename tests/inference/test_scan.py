"""Images without labels are read as the data set was, and label maps lie on their grids."""

import gzip
import io

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from magicseg.data.sources import FORMATS, acdc_official, folder
from magicseg.data.sources.images import read_mask
from magicseg.data.sources.nifti import read_nifti
from magicseg.errors import UserError
from magicseg.inference.scan import reader

RNG = np.random.default_rng(0)
HU = RNG.integers(-1000, 1000, (5, 4, 3)).astype(np.int16)
AFFINE = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 5.0, 30], [0, 0, 0, 1]])  # axes point to A, L, S


def nifti(path, voxels=HU, affine=AFFINE, unit="mm"):
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units(unit, "sec")
    image.header["cal_max"] = 400
    nibabel.save(image, path)
    return path


def encoded(scan, label):
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(scan.encode(label)))


def test_acdc_is_read_as_for_training(tmp_path):
    path = nifti(tmp_path / "a.nii.gz")
    scan = reader("acdc", 1)(path)
    trained_on = acdc_official.read(path, nifti(tmp_path / "a_gt.nii.gz", np.zeros_like(HU)))
    np.testing.assert_array_equal(scan.image, trained_on.image)
    assert scan.spacing == trained_on.spacing == (5, 2, 1.5)


def test_a_ct_is_turned_and_windowed_and_its_label_turned_back(tmp_path):
    scan = reader("synapse", 1)(nifti(tmp_path / "a.nii"))
    # axes A, L, S; slices along S, rows along R, columns along A
    expected = (np.clip(HU[:, ::-1].transpose(2, 1, 0).astype(np.float32), -125, 275) + 125) / np.float32(400)
    np.testing.assert_array_equal(scan.image, expected)
    assert scan.spacing == (5, 2, 1.5)
    label = (scan.image > 0.5).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(encoded(scan, label).dataobj), HU > 75)


@pytest.mark.parametrize("dataset", ["acdc", "synapse", "folder"])
@pytest.mark.parametrize("unit", ["mm", "meter"])
def test_a_label_map_has_the_geometry_of_its_volume(tmp_path, dataset, unit):
    path = nifti(tmp_path / "a.nii.gz", unit=unit)
    scan = reader(dataset, 1)(path)
    source, found = nibabel.load(path), encoded(scan, np.full(scan.image.shape, 2, np.uint8))
    assert found.shape == source.shape
    np.testing.assert_array_equal(found.affine, source.affine)
    for key in ("pixdim", "qform_code", "sform_code", "xyzt_units", "quatern_b", "qoffset_x", "srow_x"):
        np.testing.assert_array_equal(found.header[key], source.header[key])
    assert found.get_data_dtype() == np.uint8
    assert found.header["cal_max"] == 0
    assert (np.asarray(found.dataobj) == 2).all()


def test_the_label_map_of_a_nifti_2_has_its_geometry(tmp_path):
    source = nibabel.Nifti2Image(HU, AFFINE)
    source.header.set_xyzt_units("meter")
    nibabel.save(source, tmp_path / "A.NII.GZ")
    scan = reader("acdc", 1)(tmp_path / "A.NII.GZ")
    found = nibabel.Nifti2Image.from_bytes(gzip.decompress(scan.encode(np.ones(scan.image.shape, np.uint8))))
    np.testing.assert_array_equal(found.affine, AFFINE)
    assert (found.shape, found.header.get_xyzt_units()[0]) == (HU.shape, "meter")
    assert scan.spacing == (5000, 2000, 1500)
    assert (np.asarray(found.dataobj) == 1).all()


def test_a_volume_keeps_its_axes_of_length_one(tmp_path):
    for shape in ((5, 4), (5, 4, 1), (5, 4, 3, 1)):
        path = nifti(tmp_path / "a.nii.gz", RNG.random(shape).astype(np.float32))
        scan = reader("acdc", 1)(path)
        assert encoded(scan, np.ones(scan.image.shape, np.uint8)).shape == shape


def test_slopes_are_applied_to_the_image_and_left_out_of_the_label(tmp_path):
    image = nibabel.Nifti1Image(RNG.random((4, 4, 2)), np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii")
    scan = reader("folder", 1)(tmp_path / "a.nii")
    found = encoded(scan, np.full((2, 4, 4), 3, np.uint8))
    assert set(np.unique(found.dataobj)) == {3}
    assert np.unique(read_nifti(tmp_path / "a.nii").voxels).size > 20


def test_every_nifti_of_a_folder_of_ones_own_is_scaled(tmp_path):
    scan = reader("folder", 1)(nifti(tmp_path / "a.nii", RNG.integers(3, 90, (4, 4, 2)).astype(np.uint8)))
    assert (scan.image.min(), scan.image.max()) == (0, 1)


def test_arrays_of_mixed_types_are_read_as_for_training(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for name, dtype in (("a", np.uint8), ("b", np.float32)):
            values = RNG.integers(20, 60, (6, 5)).astype(dtype) if kind == "images" else np.eye(6, 5, dtype=np.uint8)
            np.save(tmp_path / kind / f"{name}.npy", values)
    for case in folder.find(tmp_path).cases:
        scan = reader("folder", 1, "min_max")(tmp_path / f"images/{case.name}.npy")
        np.testing.assert_array_equal(scan.image, case.read().image)


def picture(path, array):
    Picture.fromarray(array).save(path)
    return path


def test_pictures(tmp_path):
    rgb = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
    scan = reader("glas", 3)(picture(tmp_path / "a.bmp", rgb))
    np.testing.assert_array_equal(scan.image, rgb[None])
    label = RNG.integers(0, 9, (1, 6, 5)).astype(np.uint8)
    (tmp_path / "l.png").write_bytes(scan.encode(label))
    np.testing.assert_array_equal(read_mask(tmp_path / "l.png"), label[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_pictures_are_taken_for_either(tmp_path, channels):
    grey = RNG.integers(0, 256, (6, 5)).astype(np.uint8)
    read = reader("folder", channels)
    for array in (grey, np.repeat(grey[..., None], 3, axis=2)):
        image = read(picture(tmp_path / "a.png", array)).image
        assert image.shape == ((1, 6, 5) if channels == 1 else (1, 6, 5, 3))
        np.testing.assert_array_equal(image.reshape(6, 5, -1)[..., 0], grey)


@pytest.mark.parametrize(
    ("channels", "shape", "read_as"),
    [(1, (6, 5), (1, 6, 5)), (1, (2, 6, 5), (2, 6, 5)), (3, (6, 5, 3), (1, 6, 5, 3)), (3, (2, 6, 5, 3), (2, 6, 5, 3))],
)
def test_arrays(tmp_path, channels, shape, read_as):
    array = RNG.integers(0, 256, shape).astype(np.uint8)
    np.save(tmp_path / "a.npy", array)
    scan = reader("folder", channels)(tmp_path / "a.npy")
    np.testing.assert_array_equal(scan.image, array.reshape(read_as))
    label = np.ones(read_as[:3], np.uint8)
    assert np.load(io.BytesIO(scan.encode(label))).shape == shape[: len(shape) - (channels == 3)]


@pytest.mark.parametrize(
    ("channels", "shape", "message"),
    [
        (1, (6, 5, 3), r"shape \(6, 5, 3\); the run was trained on grey ones, \[H, W\] or \[D, H, W\]"),
        (1, (6,), r"shape \(6,\)"),
        (1, (2, 6, 5, 4), r"shape \(2, 6, 5, 4\)"),
        (3, (6, 5), r"shape \(6, 5\); the run was trained on RGB images, \[H, W, 3\]"),
        (3, (2, 6, 5), r"trained on RGB images"),
        (3, (6, 5, 4), r"trained on RGB images"),
        (1, (0, 5), r"no axis may be empty"),
    ],
)
def test_arrays_of_other_shapes(tmp_path, channels, shape, message):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match=rf"a\.npy.*{message}"):
        reader("folder", channels)(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("channels", "name", "content", "message"),
    [
        (1, "a.png", np.eye(3, dtype=np.uint8)[..., None] * np.uint8([1, 2, 3]), "holds colours"),
        (3, "a.nii", HU, "is grey, as NIfTI volumes are"),
        (1, "a.npy", np.full((4, 4), np.nan), "NaN"),
        (1, "a.npy", np.full((4, 4), 2.0), "every voxel has the value 2"),
        (1, "a.nii", np.zeros((3, 3, 2, 2), np.int16), "expected is one volume"),
    ],
)
def test_images_of_another_sort(tmp_path, channels, name, content, message):
    path = tmp_path / name
    {"a.png": picture, "a.nii": nifti, "a.npy": np.save}[name](path, content)
    with pytest.raises(UserError, match=rf"{name}.*{message}"):
        reader("folder", channels)(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.nii", "a.nii.gz", "a.npy", "a.h5", "a"])
@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_damaged_and_other_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{tmp_path / name}\b.*(damaged|no image that can be read)"):
        reader("folder", 1)(tmp_path / name)


def test_the_rule_can_be_said_and_must_be_known(tmp_path):
    np.save(tmp_path / "a.npy", np.float32([[0.25, 0.5]]))
    assert reader("acdc", 1)(tmp_path / "a.npy").image.max() == 1
    assert reader("acdc", 1, "as_they_are")(tmp_path / "a.npy").image.max() == 0.5
    assert reader("mine", 1, "min_max").slices == FORMATS["folder"].slices
    with pytest.raises(UserError, match=r"Unknown intensity 'minmax'. Did you mean min_max\?"):
        reader("acdc", 1, "minmax")
    with pytest.raises(UserError, match=r"How mine scales intensities is not known; say it by intensity=as_they_are"):
        reader("mine", 1)
