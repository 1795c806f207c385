"""NIfTI: geometry from the header, exactly; damage and contradictions in words."""

import gzip
import itertools

import nibabel
import numpy as np
import pytest

from magicseg.data.sources.nifti import aligned, read_axes, read_nifti
from magicseg.errors import UserError

SHAPE, SIZES = (3, 4, 5), (0.5, 0.75, 2.5)


def save(path, voxels=None, affine=None, axes="RAS", unit="mm"):
    voxels = np.arange(60, dtype=np.int16).reshape(SHAPE) if voxels is None else voxels
    image = nibabel.Nifti1Image(voxels, np.diag([*SIZES, 1]) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    if axes != "RAS":
        target = nibabel.orientations.axcodes2ornt(axes)
        image = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), target))
    nibabel.save(image, path)
    return path


def test_voxels_sizes_and_axes_are_as_stored(tmp_path):
    nifti = read_nifti(save(tmp_path / "a.nii.gz", axes="SLP"))
    assert (nifti.axes, nifti.voxels.shape, nifti.spacing) == ("SLP", (5, 3, 4), (2.5, 0.5, 0.75))
    assert nifti.voxels.dtype == np.int16


ALL_AXES = [
    "".join(codes) for order in itertools.permutations(("RL", "AP", "SI")) for codes in itertools.product(*order)
]


def test_turning_undoes_every_one_of_the_48_orientations(tmp_path):
    expected = read_nifti(save(tmp_path / "a.nii"))
    for axes in ALL_AXES:
        stored = read_nifti(save(tmp_path / "b.nii", axes=axes))
        turned = stored.turned("RAS")
        assert (stored.axes, turned.axes, turned.spacing) == (axes, "RAS", SIZES)
        np.testing.assert_array_equal(turned.voxels, expected.voxels)
        np.testing.assert_allclose(turned.affine, expected.affine, atol=1e-5)


def test_an_oblique_scan_is_turned_to_the_nearest_axes(tmp_path):
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1, -1, 1]) @ np.diag(SIZES)
    nifti = read_nifti(save(tmp_path / "a.nii", affine=affine))
    assert nifti.axes == "LPS"
    np.testing.assert_array_equal(nifti.turned("RAS").voxels, nifti.voxels[::-1, ::-1])


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)])
def test_spacing_is_in_mm(tmp_path, unit, factor):
    assert read_nifti(save(tmp_path / "a.nii", unit=unit)).spacing == pytest.approx([factor * s for s in SIZES])


def test_scaled_values_are_real_values(tmp_path):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(SHAPE), np.eye(4))
    image.header.set_slope_inter(0.5, -10)
    nibabel.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii.gz").voxels.ravel(), np.arange(60) / 2 - 10)


@pytest.mark.parametrize(("shape", "expected"), [((3, 4), (3, 4, 1)), ((3, 4, 5, 1), SHAPE)])
def test_planes_and_single_frames_are_volumes(tmp_path, shape, expected):
    nifti = read_nifti(save(tmp_path / "a.nii", np.zeros(shape, np.float32)))
    assert (nifti.voxels.shape, len(nifti.spacing)) == (expected, 3)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII", "A.NII.GZ"])
@pytest.mark.parametrize("form", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_both_versions_of_the_format_are_read_whatever_the_case_of_the_suffix(tmp_path, name, form):
    voxels = np.arange(60, dtype=np.int16).reshape(SHAPE)
    content = form(voxels, np.diag([*SIZES, 1])).to_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    nifti = read_nifti(tmp_path / name)
    np.testing.assert_array_equal(nifti.voxels, voxels)
    assert (nifti.axes, nifti.spacing, read_axes(tmp_path / name)) == ("RAS", SIZES, "RAS")


def test_labels_in_other_axes_are_turned_to_those_of_the_image(tmp_path):
    image = read_nifti(save(tmp_path / "image.nii", axes="LPS"))
    label = read_nifti(save(tmp_path / "label.nii", axes="SAR"))
    np.testing.assert_array_equal(aligned(label, image).voxels, image.voxels)


def test_voxels_correspond_where_axes_agree_whatever_the_origin(tmp_path):
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = 50
    label = read_nifti(save(tmp_path / "label.nii", affine=affine))
    assert aligned(label, read_nifti(save(tmp_path / "image.nii"))) is label


@pytest.mark.parametrize("shape", [SHAPE, (3, 4, 6)])
def test_contradicting_headers_are_refused(tmp_path, shape):
    """A label saved without the image's affine: its voxels could correspond in two ways."""
    image = read_nifti(save(tmp_path / "image.nii", axes="LAS"))
    label = read_nifti(save(tmp_path / "label.nii", np.zeros(shape, np.uint8), affine=np.eye(4)))
    with pytest.raises(UserError, match=r"label.nii: its axes point to RAS, those of image.nii to LAS"):
        aligned(label, image)


def test_turned_labels_may_lie_half_the_smallest_voxel_away(tmp_path):
    image, affine = read_nifti(save(tmp_path / "image.nii")), np.diag([*SIZES, 1])
    affine[2, 3] = 0.24
    near = read_nifti(save(tmp_path / "near.nii", affine=affine, axes="LPS"))
    np.testing.assert_array_equal(aligned(near, image).voxels, image.voxels)
    affine[2, 3] = 0.26
    with pytest.raises(UserError, match=r"far.nii: its axes point to LPS, those of image.nii to RAS"):
        aligned(read_nifti(save(tmp_path / "far.nii", affine=affine, axes="LPS")), image)


def test_axes_are_read_from_the_header_alone(tmp_path):
    path = save(tmp_path / "a.nii", axes="PIR")
    path.write_bytes(path.read_bytes()[:360])
    assert read_axes(path) == "PIR"


@pytest.mark.parametrize("form", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kept", [0, 10, 340, 400, 539, 560, -10])
def test_cut_off_files_are_named(tmp_path, form, name, kept):
    path = tmp_path / name
    nibabel.save(form(np.random.default_rng(0).integers(0, 999, (9, 9, 9)).astype(np.int16), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=rf"{name} is damaged or no NIfTI file"):
        read_nifti(path)


def test_other_content_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds an array of shape \(2, 2, 2, 3\); expected is one volume"):
        read_nifti(save(tmp_path / "a.nii", np.zeros((2, 2, 2, 3), np.int16)))
    with pytest.raises(UserError, match="holds complex64; expected are real numbers"):
        read_nifti(save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.complex64)))
    with pytest.raises(UserError, match=r"absent.nii is damaged or no NIfTI file .*No such file"):
        read_nifti(tmp_path / "absent.nii")


def test_a_header_without_voxel_size_or_axes_is_refused(tmp_path):
    path = save(tmp_path / "a.nii")
    for size in (np.nan, 0):
        content = bytearray(path.read_bytes())
        content[80:84] = np.float32(size).tobytes()  # pixdim[1]
        (tmp_path / "size.nii").write_bytes(content)
        with pytest.raises(UserError, match=rf"size.nii.*(voxel size {size} x|damaged)"):
            read_nifti(tmp_path / "size.nii")
    content = bytearray(path.read_bytes())
    content[280:328] = bytes(48)  # srow_x, srow_y, srow_z
    (tmp_path / "axes.nii").write_bytes(content)
    with pytest.raises(UserError, match=r"axes.nii.*(does not tell where the three axes point|damaged)"):
        _ = read_nifti(tmp_path / "axes.nii").axes
