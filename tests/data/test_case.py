"""A prepared case: exact facts, and every kind of damage told apart from good data."""

import contextlib
import dataclasses
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicseg.data.case import Case, check_arrays, load_case, load_instances, write_case
from magicseg.errors import UserError

IMAGE = np.array([[[0, 0.5], [1, 0.25]], [[0.5, 0.5], [0.5, 0.5]], [[0, 0], [0, 0.75]]], np.float32)
LABEL = np.array([[[0, 1], [1, 3]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]], np.uint8)


@pytest.fixture
def case(tmp_path):
    return write_case(tmp_path, "a_frame01", "a", IMAGE, LABEL, (10.0, 1.5, 1.25), 4, {"layout": "made up"})


def test_facts_of_a_case_are_those_of_its_arrays(case):
    assert (case.name, case.subject, case.file) == ("a_frame01", "a", "cases/a_frame01.npz")
    assert case.shape == (3, 2, 2)
    assert case.spacing == (10.0, 1.5, 1.25)
    assert case.intensity == (0.0, 1.0)
    assert case.label_counts == (8, 3, 0, 1)
    assert case.unlabelled_slices == 1


def test_a_case_comes_back_as_it_was_written(tmp_path, case):
    image, label = load_case(tmp_path, case)
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(label, LABEL)
    assert (image.dtype, label.dtype) == (np.float32, np.uint8)


def test_an_entry_survives_json(case):
    assert Case.from_json(json.loads(json.dumps(dataclasses.asdict(case)))) == case


def test_content_hash_sees_the_arrays_and_not_the_compression(tmp_path, case):
    again = write_case(tmp_path, "b", "b", np.asfortranarray(IMAGE), LABEL.astype(np.int64), None, 4, {})
    assert again.content == case.content
    moved = write_case(tmp_path, "b", "b", IMAGE.reshape(3, 1, 4), LABEL.reshape(3, 1, 4), None, 4, {})
    changed = IMAGE.copy()
    changed[0, 0, 0] = np.nextafter(np.float32(0), np.float32(1))
    other = write_case(tmp_path, "b", "b", changed, LABEL, None, 4, {})
    assert len({case.content, moved.content, other.content}) == 3


def with_value(array, value):
    changed = array.astype(np.result_type(array, type(value)))
    changed.flat[5] = value
    return changed


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (with_value(IMAGE, np.nan), LABEL, "1 NaN or infinite"),
        (with_value(IMAGE, np.inf), LABEL, "1 NaN or infinite"),
        (with_value(IMAGE, 1.5), LABEL, r"ranges from 0 to 1.5; allowed are values in \[0, 1\]"),
        (with_value(IMAGE, -0.5), LABEL, "ranges from -0.5 to 1"),
        (IMAGE, with_value(LABEL, 4), "holds the values 4; allowed are 0 to 3"),
        (IMAGE, with_value(LABEL, -1), "holds the values -1; allowed"),
        (IMAGE, with_value(LABEL, 0.5), "holds the values 0.5; allowed"),
        (IMAGE, with_value(LABEL, np.nan), "holds the values nan; allowed"),
        (IMAGE, LABEL[:2], r"image has shape \(3, 2, 2\) and the label \(2, 2, 2\)"),
        (IMAGE[:0], LABEL[:0], "no empty axis"),
        (IMAGE[0, 0], LABEL[0, 0], r"\[D, H, W\] or \[H, W\]"),
    ],
)
def test_unfit_arrays_are_refused(image, label, message):
    with pytest.raises(UserError, match=f"^somewhere: .*{message}"):
        check_arrays(image, label, 4, "somewhere")


def replace_file(tmp_path, case, **arrays):
    np.savez_compressed(tmp_path / case.file, **arrays)


@pytest.mark.parametrize(
    "arrays",
    [
        {"image": IMAGE},
        {"image": IMAGE, "label": LABEL, "instances": LABEL},
        {"img": IMAGE, "label": LABEL},
        {"image": IMAGE, "label": LABEL.astype(np.int8)},
        {"image": IMAGE.view(np.int32), "label": LABEL},
        {"image": IMAGE, "label": LABEL.reshape(3, 1, 4)},
        {"image": with_value(IMAGE, 0.125), "label": LABEL},
        {"image": IMAGE, "label": with_value(LABEL, 2)},
    ],
)
def test_files_that_hold_anything_else_are_named(tmp_path, case, arrays):
    replace_file(tmp_path, case, **arrays)
    with pytest.raises(UserError, match=f"^{tmp_path / case.file} does not hold the values that were prepared"):
        load_case(tmp_path, case)


def test_pickled_objects_are_never_loaded(tmp_path, case):
    replace_file(tmp_path, case, image=np.array([object()]), label=LABEL)
    with pytest.raises(UserError, match="damaged or no npz file"):
        load_case(tmp_path, case)


def test_a_missing_file_is_named(tmp_path, case):
    (tmp_path / case.file).unlink()
    with pytest.raises(UserError, match=r"a_frame01.npz does not exist, though the manifest names it"):
        load_case(tmp_path, case)


@pytest.mark.parametrize("content", [b"", b"PK", b"text", b"\x93NUMPY"])
def test_a_file_of_another_kind_is_refused(tmp_path, case, content):
    (tmp_path / case.file).write_bytes(content)
    with pytest.raises(UserError, match="damaged or no npz file"):
        load_case(tmp_path, case)


def test_a_plain_array_is_no_case(tmp_path, case):
    with (tmp_path / case.file).open("wb") as file:
        np.save(file, IMAGE)
    with pytest.raises(UserError, match="damaged or no npz file"):
        load_case(tmp_path, case)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_is_an_error_or_does_no_harm(tmp_path, case, position, flip):
    good = (tmp_path / case.file).read_bytes()
    bad = bytearray(good)
    bad[int(position * len(good))] ^= flip
    damaged = dataclasses.replace(case, file="cases/damaged.npz")
    (tmp_path / damaged.file).write_bytes(bad)
    with contextlib.suppress(UserError):
        image, label = load_case(tmp_path, damaged)
        np.testing.assert_array_equal(image, IMAGE)
        np.testing.assert_array_equal(label, LABEL)


def test_a_member_that_is_no_array_is_refused(tmp_path, case):
    with zipfile.ZipFile(tmp_path / case.file, "w") as archive:
        archive.writestr("image.npy", bytes(100))
        archive.writestr("label.npy", bytes(100))
    with pytest.raises(UserError, match="does not hold the values that were prepared"):
        load_case(tmp_path, case)


def test_a_member_with_a_broken_header_is_refused(tmp_path, case):
    file = io.BytesIO()
    np.save(file, IMAGE)
    with zipfile.ZipFile(tmp_path / case.file, "w") as archive:
        archive.writestr("image.npy", file.getvalue().replace(b"(3, ", b"((3,"))
    with pytest.raises(UserError, match="damaged or no npz file"):
        load_case(tmp_path, case)


def test_a_file_cut_off_anywhere_is_an_error(tmp_path, case):
    good = (tmp_path / case.file).read_bytes()
    damaged = dataclasses.replace(case, file="cases/damaged.npz")
    for length in range(len(good)):
        (tmp_path / damaged.file).write_bytes(good[:length])
        with pytest.raises(UserError, match="damaged"):
            load_case(tmp_path, damaged)


def test_a_full_or_forbidden_folder_is_a_users_matter(tmp_path):
    shutil.rmtree(tmp_path)
    tmp_path.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="Cannot write"):
        write_case(tmp_path, "a", "a", IMAGE, LABEL, None, 4, {})


RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (1, 5, 4, 3)).astype(np.uint8)
MASK = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [2, 2, 0, 1], [2, 2, 0, 1]], np.uint8)[None]
IDS = np.array([[0, 0, 7, 7], [0, 0, 7, 7], [0, 0, 0, 0], [40, 40, 0, 9], [40, 40, 0, 9]])[None]


def write(tmp_path, image=RGB, label=MASK, instances=IDS, name="a"):
    return write_case(tmp_path, name, "a", image, label, None, 3, {}, instances)


def test_a_colour_image_with_instances(tmp_path):
    case = write(tmp_path)
    assert (case.shape, case.channels, case.instances, case.merged) == ((1, 5, 4), 3, 3, False)
    assert case.intensity == (RGB.min(), RGB.max())
    assert case.label_counts == (10, 6, 4)
    image, label = load_case(tmp_path, case)
    np.testing.assert_array_equal(image, RGB)
    np.testing.assert_array_equal(label, MASK)
    assert (image.dtype, label.dtype) == (np.uint8, np.uint8)


def test_instances_are_numbered_in_the_order_of_their_ids(tmp_path):
    instances = load_instances(tmp_path, write(tmp_path))
    assert instances.dtype == np.uint16
    np.testing.assert_array_equal(instances, np.select([IDS == 7, IDS == 9, IDS == 40], [1, 2, 3]))


@pytest.mark.parametrize("kind", [np.int64, np.uint16, np.float64, bool])
def test_instances_may_come_as_any_whole_numbers(tmp_path, kind):
    ids = IDS.astype(kind)
    expected = np.unique(ids, return_inverse=True)[1].reshape(ids.shape)
    np.testing.assert_array_equal(load_instances(tmp_path, write(tmp_path, instances=ids)), expected)


def test_a_slice_full_of_instances_or_without_any(tmp_path):
    full = write(tmp_path, instances=IDS + 1)  # 0 does not occur
    assert full.instances == 4
    assert load_instances(tmp_path, full).min() == 1
    empty = write(tmp_path, instances=IDS * 0)
    assert (empty.instances, load_instances(tmp_path, empty).any()) == (0, False)


def test_no_instance_map_is_not_the_same_as_no_instance(tmp_path):
    case = write(tmp_path, instances=None)
    assert case.instances is None
    assert load_instances(tmp_path, case) is None
    assert case.content != write(tmp_path, instances=IDS * 0).content


@pytest.mark.parametrize(
    ("image", "instances", "message"),
    [
        (RGB.astype(np.float32) / 255, IDS, "the RGB image holds float32 values; allowed are uint8 only"),
        (RGB.astype(np.uint16), IDS, "the RGB image holds uint16"),
        (RGB[..., 0].astype(np.int16), IDS, r"the grey image holds int16 values; allowed are uint8, or floating point"),
        (RGB[..., 0] > 9, IDS, "the grey image holds bool"),
        (RGB[..., 0] * 1j, IDS, "the grey image holds complex128"),
        (RGB[..., :2], IDS, "an RGB image has one more axis of 3 channels"),
        (RGB, IDS[:, :4], r"instances have shape \(1, 4, 4\) and the label \(1, 5, 4\)"),
        (RGB, -IDS, "the instances hold -40"),
        (RGB, IDS / 2, "the instances hold float64 values; allowed are whole numbers"),
        (RGB, np.where(IDS == 9, np.nan, IDS), "the instances hold float64 values; allowed are whole numbers"),
        (RGB, IDS.astype("S3"), "the instances hold .S3 values"),
    ],
)
def test_unfit_colours_and_instances_are_refused(tmp_path, image, instances, message):
    with pytest.raises(UserError, match=f"^a: .*{message}"):
        write(tmp_path, image=image, instances=instances)
    assert not (tmp_path / "cases").exists()


def test_as_many_instances_as_16_bits_can_number_are_kept_and_more_are_refused(tmp_path):
    ids = np.arange(65537).reshape(1, 1, -1)

    def written(ids):
        image, label = np.zeros(ids.shape, np.uint8), np.ones(ids.shape, np.uint8)
        return write_case(tmp_path, "a", "a", image, label, None, 2, {}, ids)

    assert written(ids[..., :-1]).instances == written(ids[..., 1:-1]).instances == 65535  # with background and without
    for too_many in (ids, ids[..., 1:]):
        with pytest.raises(UserError, match="holds 65536 instances; allowed are at most 65535"):
            written(too_many)


def test_grey_bytes_stay_bytes(tmp_path):
    case = write(tmp_path, image=RGB[..., 0])
    assert case.channels == 1
    assert load_case(tmp_path, case)[0].dtype == np.uint8


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a b", "ä", "a\n", "-a"])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="cannot name a case"):
        write(tmp_path, name=name)


def test_merged_classes_count_as_one(tmp_path):
    case = write(tmp_path)
    merged = case.merge_classes()
    assert merged.label_counts == (10, 10)
    image, label = load_case(tmp_path, merged)
    np.testing.assert_array_equal(image, RGB)
    np.testing.assert_array_equal(label, MASK > 0)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(load_instances(tmp_path, merged), load_instances(tmp_path, case))
    assert merged.content != case.content


def test_a_merged_case_is_still_checked(tmp_path):
    merged = write(tmp_path).merge_classes()
    write(tmp_path, label=np.roll(MASK, 1))
    with pytest.raises(UserError, match="does not hold the values that were prepared"):
        load_case(tmp_path, merged)
