"""ACDC in both layouts: the same cases, the right names, and a clear word on everything that is missing or damaged."""

import gzip
import re

import h5py
import nibabel
import numpy as np
import pytest
from tiny_acdc import (
    SPACING,
    raw_volume,
    scaled,
    write_h5,
    write_h5_slices,
    write_h5_volumes,
    write_mtunet,
    write_nifti,
    write_official,
)

from magicseg.data.sources import acdc, acdc_official
from magicseg.errors import UserError


def read_all(folder):
    return {case.name: case.read() for case in acdc.find(folder).cases}


@pytest.mark.parametrize("below", ["", "training", "database/training"])
def test_official_layout_is_found_at_any_depth(tmp_path, below):
    write_official(tmp_path / below, 1)
    source = acdc.find(tmp_path)
    assert source.layout == "official NIfTI"
    assert [case.name for case in source.cases] == ["patient001_frame01", "patient001_frame02"]


def test_official_volume_is_turned_and_scaled(tmp_path):
    write_official(tmp_path, 1)
    volume = acdc.find(tmp_path).cases[0].read()
    image, label = raw_volume(10)
    np.testing.assert_array_equal(volume.image, scaled(image))
    np.testing.assert_array_equal(volume.label, label)
    assert (volume.image.min(), volume.image.max()) == (0, 1)
    assert (volume.image.dtype, volume.label.dtype) == (np.float32, np.uint8)
    assert volume.spacing == SPACING


def test_unzipped_nifti_is_read_too(tmp_path):
    write_official(tmp_path, 1)
    for path in list(tmp_path.rglob("*_frame*.nii.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(read_all(tmp_path)["patient001_frame01"].image, scaled(raw_volume(10)[0]))


@pytest.mark.parametrize(
    ("frames", "phases", "expected"),
    [((1, 12), ("ED", "ES"), ["ED", "ES"]), ((4, 11), ("ES", "ED"), ["ES", "ED"]), ((2, 30), ("?", "!"), [None, None])],
)
def test_frames_are_named_by_order_and_the_phase_comes_from_info(tmp_path, frames, phases, expected):
    write_official(tmp_path, 90, frames, phases)
    cases = acdc.find(tmp_path).cases
    assert [case.name for case in cases] == ["patient090_frame01", "patient090_frame02"]
    assert [case.files[0].name for case in cases] == [f"patient090_frame{frame:02d}.nii.gz" for frame in frames]
    assert [case.facts["phase"] for case in cases] == expected


def test_the_mark_that_windows_puts_before_a_text_hides_no_phase_and_no_slice(tmp_path):
    write_official(tmp_path / "nifti", 1)
    info = tmp_path / "nifti/patient001/Info.cfg"
    info.write_text(info.read_text(), encoding="utf-8-sig")
    assert [case.facts["phase"] for case in acdc.find(tmp_path / "nifti").cases] == ["ED", "ES"]
    write_h5_slices(tmp_path / "h5", 1)
    (tmp_path / "h5/all_slices.list").write_text("patient001_frame01_slice_4\n", encoding="utf-8-sig")
    assert acdc.find(tmp_path / "h5").missing["patient001_frame01"] == "no slice 4"


def test_all_layouts_give_equal_arrays(tmp_path):
    write_official(tmp_path / "nifti", 1)
    write_h5_volumes(tmp_path / "volumes", 1)
    write_h5_slices(tmp_path / "slices", 1)
    write_h5_slices(tmp_path / "from_zero", 1, first=0, below="data/slices")
    write_mtunet(tmp_path / "npz_volumes", 1, whole=True)
    write_mtunet(tmp_path / "npz_slices", 1, whole=False)
    official = read_all(tmp_path / "nifti")
    assert list(official) == ["patient001_frame01", "patient001_frame02"]
    for folder in ("volumes", "slices", "from_zero", "npz_volumes", "npz_slices"):
        h5 = read_all(tmp_path / folder)
        assert list(h5) == list(official)
        for name, volume in h5.items():
            np.testing.assert_array_equal(volume.image, official[name].image)
            np.testing.assert_array_equal(volume.label, official[name].label)
            assert volume.spacing is None


def test_ten_and_more_slices_are_stacked_by_number(tmp_path):
    image, label = raw_volume(3, shape=(12, 4, 5))
    for number in range(12):
        write_h5(tmp_path / f"patient001_frame01_slice_{number + 1}.h5", scaled(image)[number], label[number])
    np.testing.assert_array_equal(read_all(tmp_path)["patient001_frame01"].label, label)


def test_patients_of_the_challenges_test_set_are_left_aside(tmp_path):
    write_official(tmp_path, 1)
    write_official(tmp_path / "testing", 101)
    source = acdc.find(tmp_path)
    assert len(source.cases) == 2
    assert source.notes == ["1 patients outside 001 to 100 (the challenge's test set) are not read."]


def test_every_absent_patient_is_missing(tmp_path):
    write_official(tmp_path, 7)
    missing = acdc.find(tmp_path).missing
    assert len(missing) == 198
    assert missing["patient001_frame02"] == "the patient is not there"


def test_incomplete_official_patients_are_missing_with_the_reason(tmp_path):
    for number in (1, 2, 3):
        write_official(tmp_path, number)
    (tmp_path / "patient001/patient001_frame12_gt.nii.gz").unlink()
    for path in (tmp_path / "patient002").glob("*_frame12*"):
        path.unlink()
    write_nifti(tmp_path / "patient003/patient003_frame20.nii.gz", raw_volume(0)[0])
    write_nifti(tmp_path / "patient003/patient003_frame20_gt.nii.gz", raw_volume(0)[1])
    write_official(tmp_path, 4)
    source = acdc.find(tmp_path)
    assert [case.subject for case in source.cases] == ["patient004"] * 2
    assert source.missing["patient001_frame01"] == "frame 12 has no label file"
    assert source.missing["patient002_frame01"] == "1 annotated frames found instead of 2"
    assert source.missing["patient003_frame02"] == "3 annotated frames found instead of 2"


@pytest.mark.parametrize(
    ("first", "lost", "reason"), [(1, 2, "no slice 2"), (0, 1, "no slice 1"), (1, 1, "no slice 1")]
)
def test_a_gap_in_the_slices_is_named(tmp_path, first, lost, reason):
    write_h5_slices(tmp_path, 1, first)
    (tmp_path / f"data/patient001_frame01_slice_{lost}.h5").unlink()
    source = acdc.find(tmp_path)
    assert source.missing["patient001_frame01"] == reason
    assert [case.name for case in source.cases] == ["patient001_frame02"]


def test_a_last_slice_that_only_the_list_knows_is_named(tmp_path):
    write_h5_slices(tmp_path, 1)
    names = [f"patient001_frame01_slice_{number}" for number in (3, 1, 2)]
    (tmp_path / "train_slices.list").write_text("\n".join(names))
    (tmp_path / "data/patient001_frame01_slice_3.h5").unlink()
    source = acdc.find(tmp_path)
    assert source.missing["patient001_frame01"] == "no slice 3"
    assert "could not be rebuilt: patient001_frame01_slice_3." in source.notes[0]


def test_the_note_counts_what_was_rebuilt_and_names_what_was_not(tmp_path):
    write_h5_volumes(tmp_path, 1)
    write_h5_slices(tmp_path, 2)
    volumes = [f"patient00{number}_frame0{frame}" for number in (1, 2, 3) for frame in (1, 2)]
    (tmp_path / "test.list").write_text("\n".join(volumes))
    slices = [f"{name}_slice_{number}" for name in volumes[:4] for number in (1, 2, 3)]
    (tmp_path / "all_slices.list").write_text("\n".join([*slices, "patient001_frame02_slice_4"]))
    assert acdc.find(tmp_path).notes == [
        "The list files name 7 slices and 4 volumes that the folder lacks: 6 slices were cut from volumes, "
        "2 volumes stacked from slices; could not be rebuilt: patient003_frame01, patient003_frame02, "
        "patient001_frame02_slice_4."
    ]


def test_no_note_where_the_lists_are_satisfied(tmp_path):
    write_h5_volumes(tmp_path, 1)
    (tmp_path / "test.list").write_text("patient001_frame01\npatient001_frame02.h5\n")
    assert acdc.find(tmp_path).notes == []


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_no_folder_says_where_to_get_the_data(tmp_path, folder):
    with pytest.raises(UserError, match=r"creatis.*SSL4MIS.*prepare_data\.py dataset=acdc source=FOLDER"):
        acdc.find(folder and tmp_path / folder)


def test_a_folder_without_acdc_says_what_was_expected(tmp_path):
    (tmp_path / "patient001.txt").write_text("")
    with pytest.raises(UserError, match=r"No ACDC data below .*expected patientNNN_frameXX.nii.gz .*creatis"):
        acdc.find(tmp_path)


def test_both_layouts_in_one_folder_are_refused(tmp_path):
    write_official(tmp_path, 1)
    write_h5_volumes(tmp_path, 1)
    with pytest.raises(UserError, match="ACDC data in 2 layouts: official NIfTI, SSL4MIS h5"):
        acdc.find(tmp_path)


@pytest.mark.parametrize("write", [write_official, write_h5_volumes, write_h5_slices])
def test_files_that_are_there_twice_are_refused(tmp_path, write):
    write(tmp_path / "a", 1)
    write(tmp_path / "b", 1)
    with pytest.raises(UserError, match=r"/a/.*patient001_frame.* and .*/b/.*patient001_frame.* are both there"):
        acdc.find(tmp_path)


def test_folders_called_as_their_file_do_no_harm(tmp_path):
    """Some copies of the official files have one: patient001_frame01.nii/patient001_frame01.nii."""
    write_official(tmp_path, 1)
    for path in list(tmp_path.rglob("*_frame*.nii.gz")):
        inner = path.with_suffix("") / path.with_suffix("").name
        inner.parent.mkdir()
        inner.write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(read_all(tmp_path)["patient001_frame01"].image, scaled(raw_volume(10)[0]))


def refuses(folder, name, message):
    """Expect that reading the first case fails with a text that names the file."""
    with pytest.raises(UserError, match=rf"{re.escape(name)}.*{message}"):
        acdc.find(folder).cases[0].read()


NIFTI = "patient001/patient001_frame01.nii.gz"


@pytest.mark.parametrize("kept", [0, 5, 60, -20, -4])
def test_a_cut_off_nifti_is_named(tmp_path, kept):
    write_official(tmp_path, 1)
    path = tmp_path / NIFTI
    path.write_bytes(path.read_bytes()[:kept])
    refuses(tmp_path, NIFTI, "is damaged or no NIfTI file")


def test_a_flipped_bit_in_a_nifti_is_found(tmp_path):
    write_official(tmp_path, 1)
    content = bytearray((tmp_path / NIFTI).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / NIFTI).write_bytes(content)
    refuses(tmp_path, NIFTI, "is damaged or no NIfTI file")


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (np.full((3, 8, 6), 7), raw_volume(0)[1], "every voxel has the value 7"),
        (raw_volume(0)[0], raw_volume(0)[1][:2], r"image has shape \(3, 8, 6\) and the label \(2, 8, 6\)"),
        (raw_volume(0)[0], raw_volume(0)[1] * 2, "holds the values 4, 6; allowed are 0 to 3"),
        (np.where(raw_volume(0)[1] == 1, np.nan, 1.0), raw_volume(0)[1], "NaN or infinite"),
        (np.ones((3, 8, 6, 2)), raw_volume(0)[1], "expected is one volume"),
    ],
)
def test_unfit_nifti_content_is_named(tmp_path, image, label, message):
    write_official(tmp_path, 1)
    affine = np.eye(4)
    nibabel.save(nibabel.Nifti1Image(image.T.astype(np.float32), affine), tmp_path / NIFTI)
    nibabel.save(nibabel.Nifti1Image(label.T, affine), tmp_path / NIFTI.replace(".nii", "_gt.nii"))
    refuses(tmp_path, NIFTI, message)


def test_spacing_without_label_file_pairs_is_the_images(tmp_path):
    """The two files of a frame may disagree in their headers; the image's spacing counts."""
    write_official(tmp_path, 1)
    label = tmp_path / NIFTI.replace(".nii", "_gt.nii")
    nibabel.save(nibabel.Nifti1Image(raw_volume(10)[1].T, np.eye(4)), label)
    assert acdc_official.read(tmp_path / NIFTI, label).spacing == SPACING


def turn(path, axes):
    """Store a NIfTI with its axes as ``axes``, at the same place in the patient."""
    image = nibabel.load(path)
    target = nibabel.orientations.axcodes2ornt(axes)
    image = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), target))
    nibabel.save(image, path)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR"])
def test_a_label_stored_in_other_axes_than_its_image_is_turned(tmp_path, axes):
    write_official(tmp_path, 1)
    turn(tmp_path / NIFTI.replace(".nii", "_gt.nii"), axes)
    volume = acdc.find(tmp_path).cases[0].read()
    image, expected = raw_volume(10)
    assert volume.image.tobytes() == scaled(image).tobytes()
    assert volume.label.tobytes() == expected.tobytes()


def test_a_label_at_another_place_than_its_image_is_refused(tmp_path):
    write_official(tmp_path, 1)
    nibabel.save(
        nibabel.Nifti1Image(raw_volume(10)[1].T, np.diag([-1, -1, 1, 1])), tmp_path / NIFTI.replace(".nii", "_gt.nii")
    )
    refuses(tmp_path, "frame01_gt.nii.gz", "axes point to LPS, those of patient001_frame01.nii.gz to RAS")


H5 = "data/patient001_frame01.h5"


@pytest.mark.parametrize("kept", [0, 5, 600, -200])
def test_a_cut_off_h5_is_named(tmp_path, kept):
    write_h5_volumes(tmp_path, 1)
    path = tmp_path / H5
    path.write_bytes(path.read_bytes()[:kept])
    refuses(tmp_path, H5, "is damaged or no h5 file")


def test_a_flipped_bit_in_h5_voxels_is_found(tmp_path):
    write_h5_volumes(tmp_path, 1)
    with h5py.File(tmp_path / H5) as file:
        chunk = file["image"].id.get_chunk_info(0)
    content = bytearray((tmp_path / H5).read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    (tmp_path / H5).write_bytes(content)
    refuses(tmp_path, H5, "is damaged or no h5 file")


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (scaled(raw_volume(0)[0]), raw_volume(0)[1] + 3, "holds the values 4, 5, 6; allowed are 0 to 3"),
        (scaled(raw_volume(0)[0]) * 255, raw_volume(0)[1], r"ranges from 0 to 255; allowed are values in \[0, 1\]"),
        (np.full((3, 8, 6), np.nan), raw_volume(0)[1], "144 NaN or infinite"),
        (scaled(raw_volume(0)[0]), raw_volume(0)[1][:, :4], "must have the same shape"),
        (scaled(raw_volume(0)[0])[0], raw_volume(0)[1][0], "an array has 2 axes; its name says that it has 3"),
    ],
)
def test_unfit_h5_content_is_named(tmp_path, image, label, message):
    write_h5(tmp_path / H5, image, label)
    refuses(tmp_path, H5, message)


def test_h5_with_other_keys_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / H5, "w") as file:
        file["data"], file["seg"] = 1, 2
    refuses(tmp_path, H5, "holds data, seg; expected are image and label")


def test_slices_of_different_size_are_named(tmp_path):
    write_h5_slices(tmp_path, 1)
    path = "data/patient001_frame01_slice_2.h5"
    write_h5(tmp_path / path, np.zeros((8, 7), np.float32), np.zeros((8, 7), np.uint8))
    refuses(tmp_path, path, r"has shape \(8, 7\), but patient001_frame01_slice_1.h5 has \(8, 6\)")


def test_mtunet_files_tell_the_phase_and_missing_ones_are_named(tmp_path):
    write_mtunet(tmp_path, 90, whole=True)
    write_mtunet(tmp_path, 91, whole=False)
    (tmp_path / "ACDC/train/case_091_sliceES_1.npz").unlink()
    write_mtunet(tmp_path, 92, whole=False)
    (tmp_path / "ACDC/train/case_092_sliceED_0.npz").unlink()
    source = acdc.find(tmp_path)
    assert source.layout == "MT-UNet npz"
    assert [(case.name, case.subject, case.facts) for case in source.cases] == [
        ("patient090_frame01", "patient090", {"phase": "ED"}),
        ("patient090_frame02", "patient090", {"phase": "ES"}),
        ("patient091_frame01", "patient091", {"phase": "ED"}),
        ("patient092_frame02", "patient092", {"phase": "ES"}),
    ]
    assert len(source.missing) == 200 - 4
    assert source.missing["patient091_frame02"] == "no slice 1"
    assert source.missing["patient092_frame01"] == "no slice 0"
    assert source.missing["patient001_frame01"] == "neither a volume nor slices are there"


def test_mtunet_images_beyond_one_are_scaled_by_their_volume(tmp_path):
    write_mtunet(tmp_path, 1, whole=False, scale=lambda image: image)
    np.testing.assert_array_equal(read_all(tmp_path)["patient001_frame01"].image, scaled(raw_volume(10)[0]))


def test_a_cut_off_npz_is_named(tmp_path):
    write_mtunet(tmp_path, 1, whole=True)
    path = tmp_path / "ACDC/test/case_001_volume_ED.npz"
    path.write_bytes(path.read_bytes()[:-40])
    refuses(tmp_path, "case_001_volume_ED.npz", "is damaged or no npz file")


def test_end_diastole_is_the_first_frame_in_the_real_files(real_acdc):
    """The left ventricle is larger in frame 01 of every patient, so that MT-UNet's ED is frame 01."""
    cases = {case.name: case.label_counts[3] for case in real_acdc[1].cases}
    assert all(cases[f"patient{n:03d}_frame01"] > cases[f"patient{n:03d}_frame02"] for n in range(1, 101))


def test_the_real_acdc_is_complete(acdc_source):
    source = acdc.find(acdc_source)
    assert source.layout == "SSL4MIS h5"
    assert source.missing == {}
    assert source.notes == [
        "The list files name 590 slices and 140 volumes that the folder lacks: 590 slices were cut from volumes, "
        "140 volumes stacked from slices; none is lost."
    ]
    assert len(source.cases) == 200


def test_real_facts_of_acdc(real_acdc):
    _, manifest = real_acdc
    slices = sum(case.shape[0] for case in manifest.cases)
    assert (slices, len({case.subject for case in manifest.cases})) == (1902, 100)
    assert all(case.intensity == (0, 1) and min(case.label_counts) > 0 for case in manifest.cases)
    stacked = [case for case in manifest.cases if len(case.source["files"]) > 1]
    assert (len(stacked), sum(case.unlabelled_slices for case in stacked)) == (140, 43)
    assert len({case.shape[1:] for case in stacked}) == 23
