"""A prepared case: exact facts, and every kind of damage told apart from good data."""

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicseg.data.case import Case, check_arrays, load_case, write_case
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


def test_files_with_unfit_content_are_named(tmp_path, case):
    where = str(tmp_path / case.file)
    replace_file(tmp_path, case, image=with_value(IMAGE, np.nan), label=LABEL)
    with pytest.raises(UserError, match=f"^{where}: .*NaN"):
        load_case(tmp_path, case)
    replace_file(tmp_path, case, image=IMAGE, label=with_value(LABEL, 7))
    with pytest.raises(UserError, match=f"^{where}: the label holds the values 7"):
        load_case(tmp_path, case)
    replace_file(tmp_path, case, image=IMAGE[:2], label=LABEL[:2])
    with pytest.raises(UserError, match=r"shape \(2, 2, 2\); the manifest says \(3, 2, 2\)"):
        load_case(tmp_path, case)
    replace_file(tmp_path, case, img=IMAGE, label=LABEL)
    with pytest.raises(UserError, match="holds the arrays img, label; expected are image, label"):
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
