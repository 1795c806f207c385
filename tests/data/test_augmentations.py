"""Each augmentation written out plainly, and how often and how far it changes a slice."""

from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from magicseg.data import AUGMENTATIONS, Preprocessing
from magicseg.data import augmentations as module
from magicseg.data.augmentations import Slice
from magicseg.seeding import generator

N = 4000


def sigmas(count, probability, n=N):
    """How many standard deviations a count lies from what is expected."""
    return abs(count - n * probability) / np.sqrt(n * probability * (1 - probability))


def make_slice(preprocessing, shape=(20, 14), kind="volume"):
    rng = np.random.default_rng(0)
    image = rng.random(shape).astype(np.float32)
    if kind != "volume":
        image = rng.integers(0, 256, (*shape, 3) if kind == "rgb" else shape).astype(np.uint8)
    label = rng.integers(0, 3, shape).astype(np.uint8)
    return Slice(shape, lambda: (image, label), lambda: preprocessing.resize_pair(image, label), preprocessing)


def plainly(name, source, rng):
    """Write the augmentations of TransUNet and UCTransNet out with NumPy and SciPy."""
    image, label = source.original() if name == "transunet" else source.resized()
    if rng.random() < 0.5:
        turns, axis = int(rng.integers(4)), int(rng.integers(2))
        image, label = (np.flip(np.rot90(array, turns), axis) for array in (image, label))
    elif rng.random() < 0.5:
        angle = int(rng.integers(-20, 20))
        image, label = (ndimage.rotate(array, angle, order=0, reshape=False) for array in (image, label))
    return source.preprocessing.resize_pair(image, label)


@pytest.mark.parametrize("name", ["transunet", "uctransnet"])
@pytest.mark.parametrize("resize", ["spline", "bilinear"])
@pytest.mark.parametrize("kind", ["volume", "grey", "rgb"])
@pytest.mark.parametrize("size", [(16, 16), (15, 15), (16, 24)])
def test_turns_and_rotations_are_as_published(name, resize, kind, size):
    source = make_slice(Preprocessing(size, resize), kind=kind)
    for seed in range(12):
        image, label = AUGMENTATIONS[name](source, np.random.default_rng(seed))
        expected_image, expected_label = plainly(name, source, np.random.default_rng(seed))
        assert image.dtype == expected_image.dtype
        np.testing.assert_allclose(image, expected_image, atol=1e-6)
        np.testing.assert_array_equal(label, expected_label)


@pytest.mark.parametrize("name", ["transunet", "uctransnet"])
def test_how_often_and_how_far_slices_turn(name, monkeypatch):
    turns, angles = [], []
    monkeypatch.setattr(module, "rotate_and_flip", lambda array, **drawn: turns.append(tuple(drawn.values())) or array)
    monkeypatch.setattr(module, "rotate", lambda array, angle: angles.append(angle) or array)
    source = make_slice(Preprocessing((16, 16)))
    for index in range(N):
        AUGMENTATIONS[name](source, generator(1, "augment", 0, index))
    turns, angles = Counter(turns[::2]), Counter(angles[::2])  # the label does as its image
    assert sigmas(turns.total(), 0.5) < 4
    assert sigmas(angles.total(), 0.25) < 4
    assert set(turns) == {(k, axis) for k in range(4) for axis in range(2)}
    assert set(angles) == set(range(-20, 20))
    assert all(sigmas(count, 1 / 8, turns.total()) < 4 for count in turns.values())
    assert all(sigmas(count, 1 / 40, angles.total()) < 4 for count in angles.values())


def test_how_often_and_how_far_transfuse_goes(monkeypatch):
    moves, colours, flips = [], [], Counter()
    monkeypatch.setattr(module, "shift_scale_rotate", lambda array, *drawn: moves.append(drawn) or array)
    for name in ("brightness", "contrast", "saturation", "hue"):
        record = lambda image, amount, name=name: colours.append((name, amount)) or image  # noqa: E731
        monkeypatch.setattr(module, f"change_{name}", record)
    source = make_slice(Preprocessing((20, 14), "bilinear"), kind="rgb")
    _, label = source.resized()
    for index in range(N):
        _, changed = AUGMENTATIONS["transfuse"](source, generator(1, "augment", 0, index))
        flips[next(axes for axes in [(), (0,), (1,), (0, 1)] if (np.flip(label, axes) == changed).all())] += 1
    assert sigmas(len(moves) / 2, 0.5) < 4
    assert {drawn[-1] for drawn in moves[::2]} == {"bilinear"}
    assert {drawn[-1] for drawn in moves[1::2]} == {"nearest"}
    assert [drawn[:-1] for drawn in moves[::2]] == [drawn[:-1] for drawn in moves[1::2]]
    drawn = np.array([[*shift, scale, angle] for shift, scale, angle, _ in moves[::2]])
    assert_uniform(drawn, [-0.15, -0.15, 0.85, -25], [0.15, 0.15, 1.15, 25])
    assert sigmas(len(colours) / 4, 0.5) < 4
    order = [tuple(name for name, _ in colours[start : start + 4]) for start in range(0, len(colours), 4)]
    assert len(set(order)) == 24
    amounts = [sorted(colours[start : start + 4]) for start in range(0, len(colours), 4)]
    amounts = np.array([[amount for _, amount in four] for four in amounts])
    assert_uniform(amounts, [0.8, 0.8, -0.2, 0.8], [1.2, 1.2, 0.2, 1.2])
    assert all(sigmas(flips[axes], 0.25) < 4 for axes in [(), (0,), (1,), (0, 1)])


def assert_uniform(drawn, low, high):
    shares = (drawn - np.array(low)) / (np.array(high) - np.array(low))
    assert 0 <= shares.min() < 0.01
    assert 0.99 < shares.max() <= 1
    assert (np.abs(shares.mean(axis=0) - 0.5) < 4 / np.sqrt(12 * len(drawn))).all()
    assert np.abs(np.corrcoef(shares.T) - np.eye(len(low))).max() < 5 / np.sqrt(len(drawn))


@pytest.mark.parametrize("kind", ["volume", "grey", "rgb"])
def test_transfuse_keeps_shape_and_range_and_known_labels(kind):
    source = make_slice(Preprocessing((20, 14), "bilinear"), kind=kind)
    before, _ = source.resized()
    for seed in range(20):
        image, label = AUGMENTATIONS["transfuse"](source, np.random.default_rng(seed))
        assert (image.shape, image.dtype) == (before.shape, np.float32)
        assert (label.shape, label.dtype) == ((20, 14), np.uint8)
        assert -1e-6 <= image.min() <= image.max() <= 1 + 1e-6
        assert set(np.unique(label)) <= {0, 1, 2}


def test_image_and_label_of_transfuse_move_together():
    y, x = np.mgrid[:64, :80]
    label = ((y - 25) ** 2 + (x - 45) ** 2 < 150).astype(np.uint8)
    source = Slice((64, 80), lambda: None, lambda: (label * np.uint8(255), label), Preprocessing((64, 80), "bilinear"))
    for seed in range(30):
        image, moved = AUGMENTATIONS["transfuse"](source, np.random.default_rng(seed))
        differ = (image > image.max() / 2) != (moved == 1)
        assert differ.mean() < 0.01  # the edge, where half a pixel decides


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_source_is_left_as_it_was(name):
    for kind in ("volume", "rgb"):
        source = make_slice(Preprocessing((20, 14), "bilinear"), kind=kind)
        before = [array.copy() for array in source.original()]
        for seed in range(10):
            AUGMENTATIONS[name](source, np.random.default_rng(seed))
        for array, kept in zip(source.original(), before, strict=True):
            np.testing.assert_array_equal(array, kept)


def test_none_is_the_resized_slice():
    source = make_slice(Preprocessing((16, 16)))
    for array, expected in zip(AUGMENTATIONS["none"](source, np.random.default_rng(0)), source.resized(), strict=True):
        np.testing.assert_array_equal(array, expected)
