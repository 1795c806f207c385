"""Resizing as scipy does it, and the one shortcut: turning a slice after it was resized."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from magicseg.data.transforms import (
    commutes_with_resizing,
    resize_image,
    resize_label,
    restore_label,
    rotate,
    rotate_and_flip,
)


def random_slice(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(shape).astype(np.float32), rng.integers(0, 4, shape).astype(np.uint8)


def test_resizing_is_scipys_zoom():
    image, label = random_slice((30, 20))
    zoom = (24 / 30, 24 / 20)
    np.testing.assert_array_equal(resize_image(image, (24, 24)), ndimage.zoom(image, zoom, order=3))
    np.testing.assert_array_equal(resize_label(label, (24, 24)), ndimage.zoom(label, zoom, order=0))
    np.testing.assert_array_equal(restore_label(label, (40, 20)), ndimage.zoom(label, (40 / 30, 1), order=0))


def test_resizing_keeps_type_and_gives_the_size():
    image, label = random_slice((31, 17))
    assert resize_image(image, (24, 48)).shape == resize_label(label, (24, 48)).shape == (24, 48)
    assert (resize_image(image, (24, 48)).dtype, resize_label(label, (24, 48)).dtype) == (np.float32, np.uint8)


def test_nothing_happens_at_the_right_size():
    image, label = random_slice((24, 24))
    assert resize_image(image, (24, 24)) is image
    assert restore_label(label, (24, 24)) is label


def test_samples_are_aligned_at_the_corners():
    image, _ = random_slice((9, 7))
    resized = resize_image(image, (16, 24))
    np.testing.assert_allclose(resized[::15, ::23], image[::8, ::6], atol=1e-6)
    every_second = resize_image(image, (17, 13))[::2, ::2]
    np.testing.assert_allclose(every_second, image, atol=1e-6)
    label = np.array([[0, 1, 2]], np.uint8).repeat(3, axis=0)
    assert resize_label(label, (3, 4)).tolist() == [[0, 1, 1, 2]] * 3


def test_rotate_and_flip_by_hand():
    array = np.array([[1, 2], [3, 4]], np.uint8)
    assert rotate_and_flip(array, 0, 0).tolist() == [[3, 4], [1, 2]]
    assert rotate_and_flip(array, 0, 1).tolist() == [[2, 1], [4, 3]]
    assert rotate_and_flip(array, 1, 0).tolist() == [[1, 3], [2, 4]]
    assert rotate_and_flip(array, 2, 1).tolist() == [[3, 4], [1, 2]]


def test_rotate_keeps_shape_and_values():
    _, label = random_slice((20, 30))
    turned = rotate(label, 13)
    assert turned.shape == (20, 30)
    assert set(np.unique(turned)) <= {0, 1, 2, 3}
    np.testing.assert_array_equal(rotate(label, 0), label)
    bar = np.zeros((21, 21), np.uint8)
    bar[10] = 1
    assert rotate(bar, 20)[10, 10] == 1
    assert rotate(bar, 20)[10, 0] == 0


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(20, 80),
    width=st.integers(20, 80),
    half=st.integers(8, 40),
    turns=st.integers(0, 3),
    axis=st.integers(0, 1),
)
def test_the_shortcut_changes_nothing_where_it_is_allowed(height, width, half, turns, axis):
    size = (2 * half, 2 * half)
    image, label = random_slice((height, width), seed=height * width)
    if commutes_with_resizing((height, width), size):
        late = rotate_and_flip(resize_image(image, size), turns, axis)
        early = resize_image(rotate_and_flip(image, turns, axis), size)
        np.testing.assert_allclose(late, early, atol=1e-6)
        late_label = rotate_and_flip(resize_label(label, size), turns, axis)
        np.testing.assert_array_equal(late_label, resize_label(rotate_and_flip(label, turns, axis), size))


# every slice shape of ACDC; (256, 232), (256, 248) and (512, 428) are known to lose an edge on the way to 224
ACDC_SHAPES = [
    *[(154, 224), (174, 208), (176, 256), (184, 256), (208, 174), (208, 256), (216, 256), (224, 154), (224, 168)],
    *[(224, 174), (224, 180), (224, 210), (224, 222), (256, 184), (256, 192), (256, 200), (256, 208), (256, 214)],
    *[(256, 216), (256, 224), (256, 232), (256, 240), (256, 248), (256, 256), (288, 184), (288, 264), (304, 216)],
    *[(384, 276), (512, 428)],
]


@pytest.mark.parametrize("shape", ACDC_SHAPES)
def test_the_shortcut_is_taken_exactly_where_it_changes_nothing(shape):
    image, label = random_slice(shape)
    size, changes = (224, 224), []
    for axis in range(2):
        flipped = np.flip(resize_image(image, size), axis), np.flip(resize_label(label, size), axis)
        early = resize_image(np.flip(image, axis), size), resize_label(np.flip(label, axis), size)
        changes += [np.abs(flipped[0] - early[0]).max() > 1e-6, (flipped[1] != early[1]).any()]
    assert commutes_with_resizing(shape, size) is not any(changes)


@pytest.mark.parametrize("size", [(24, 26), (25, 25)])
def test_no_shortcut_to_sizes_that_are_odd_or_not_square(size):
    assert not commutes_with_resizing((30, 20), size)


def test_an_odd_size_can_put_a_pixel_half_way_between_two_labels():
    label = np.arange(4, dtype=np.uint8)[None].repeat(4, axis=0)
    late = rotate_and_flip(resize_label(label, (3, 3)), 0, 1)
    assert (late != resize_label(rotate_and_flip(label, 0, 1), (3, 3))).any()
