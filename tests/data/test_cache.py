"""The cache gives the right slices or makes them anew: damaged, cut, swapped, missing files and read-only folders."""

import pickle
import shutil
import warnings

import numpy as np
import pytest

from magicseg.data import cache as module
from magicseg.data import load_case
from magicseg.data.cache import SliceCache
from magicseg.data.case import write_case
from magicseg.errors import UserError


def halved(image, label):
    return image[::2] / 2, label[::2]


@pytest.fixture
def case(make_case):
    return make_case("a_frame01", (3, 20, 14))


@pytest.fixture
def build(tmp_path):
    return lambda form="halved", make=halved: SliceCache(tmp_path, form, make)


@pytest.fixture
def made(monkeypatch):
    """Names of the cases that are read to make slices."""
    names = []
    monkeypatch.setattr(module, "load_case", lambda root, case: names.append(case.name) or load_case(root, case))
    return names


def assert_right(cache, case, root):
    images, labels = load_case(root, case)
    for number in range(len(images)):
        image, label = cache.read(case, number)
        np.testing.assert_array_equal(image, images[number, ::2] / 2)
        np.testing.assert_array_equal(label, labels[number, ::2])
        assert (image.dtype, label.dtype) == (np.float32, np.uint8)


def test_slices_are_made_once_for_all_that_follow(build, case, tmp_path, made):
    for _ in range(3):
        assert_right(build(), case, tmp_path)
    assert made == ["a_frame01"]
    assert [path.name for path in (tmp_path / "cache" / "halved").iterdir()] == [f"{case.content}.slices"]


def test_rgb_and_single_slices(build, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3)).astype(np.uint8)
    case = write_case(tmp_path, "rgb", "rgb", image, np.ones((1, 6, 5), np.uint8), None, 2, {})
    for _ in range(2):
        read, label = build("same", lambda image, label: (image, label)).read(case, 0)
        np.testing.assert_array_equal(read, image[0])
        assert read.dtype == np.uint8
        assert label.all()


def test_forms_and_contents_do_not_mix(build, case, tmp_path, make_case):
    assert_right(build(), case, tmp_path)
    image, _ = build("doubled", lambda image, label: (2 * image, label)).read(case, 1)
    np.testing.assert_array_equal(image, 2 * load_case(tmp_path, case)[0][1])
    other = make_case("a_frame01", (3, 20, 14), seed=5)  # prepared again, with other values
    assert_right(build(), other, tmp_path)


def test_what_is_read_is_a_copy(build, case, tmp_path):
    cache = build()
    for array in cache.read(case, 0):
        array[:] = 0
    assert_right(cache, case, tmp_path)


def stored(case, root, form="halved"):
    return root / "cache" / form / f"{case.content}.slices"


def test_every_kind_of_damage_is_noticed(build, case, tmp_path, made):
    build().read(case, 0)
    path = stored(case, tmp_path)
    whole = path.read_bytes()
    positions = [0, 31, 32, 40, 90, len(whole) // 2, len(whole) - 1]
    damages = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in positions]
    damages += [b"", whole[:20], whole[:32], whole[:-1], whole + b"\0", b"\0" * len(whole)]
    for number, damage in enumerate(damages, start=2):
        path.write_bytes(damage)
        assert_right(build(), case, tmp_path)
        assert len(made) == number
        assert path.read_bytes() == whole


def test_a_file_of_another_case_form_or_version_is_not_used(build, case, tmp_path, make_case, made, monkeypatch):
    other = make_case("b_frame01", (3, 20, 14), seed=1)
    build().read(other, 0)
    shutil.copy(stored(other, tmp_path), stored(case, tmp_path))
    assert_right(build(), case, tmp_path)
    build("same", lambda image, label: (image, label)).read(case, 0)
    shutil.copy(stored(case, tmp_path, "same"), stored(case, tmp_path))
    assert_right(build(), case, tmp_path)
    monkeypatch.setattr(module, "VERSION", "0")
    assert_right(build(), case, tmp_path)
    assert made == ["b_frame01", *4 * ["a_frame01"]]


def test_a_folder_that_cannot_be_written_is_replaced_by_memory(build, case, tmp_path, made):
    (tmp_path / "cache").write_text("no folder can be made here")
    cache = build()
    with pytest.warns(UserWarning, match=r"cache cannot be written to or is full\. Resized slices are kept in memory"):
        assert_right(cache, case, tmp_path)
    for array in cache.read(case, 0):
        array[:] = 0
    assert_right(cache, case, tmp_path)
    assert made == ["a_frame01"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_right(pickle.loads(pickle.dumps(cache)), case, tmp_path)
    assert made == 2 * ["a_frame01"]


def test_a_file_that_goes_while_in_use_is_told(build, case, tmp_path):
    cache = build()
    cache.read(case, 0)
    path = stored(case, tmp_path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(UserError, match=r"slices was deleted or changed while it was in use"):
        cache.read(case, 2)
    path.unlink()
    with pytest.raises(UserError, match=r"Delete the folder cache only between runs"):
        cache.read(case, 0)


def test_a_damaged_case_is_an_error_and_leaves_no_file(build, case, tmp_path):
    (tmp_path / case.file).write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged or no npz file"):
        build().read(case, 0)
    assert not (tmp_path / "cache").exists()
