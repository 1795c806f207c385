"""Turns and flips by hand, rotation against scipy, shift with scale and rotation by hand and on image and label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from magicseg.data.geometry import rotate, rotate_and_flip, shift_scale_rotate


def test_rotate_and_flip_by_hand():
    array = np.array([[1, 2], [3, 4]], np.uint8)
    assert rotate_and_flip(array, 0, 0).tolist() == [[3, 4], [1, 2]]
    assert rotate_and_flip(array, 0, 1).tolist() == [[2, 1], [4, 3]]
    assert rotate_and_flip(array, 1, 0).tolist() == [[1, 3], [2, 4]]
    assert rotate_and_flip(array, 2, 1).tolist() == [[3, 4], [1, 2]]
    assert rotate_and_flip(np.stack([array] * 3, axis=2), 1, 0)[..., 2].tolist() == [[1, 3], [2, 4]]


@settings(max_examples=80, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), angle=st.integers(-20, 20))
def test_rotation_is_scipys(height, width, angle):
    array = np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)
    expected = ndimage.rotate(array, angle, order=0, reshape=False)
    np.testing.assert_array_equal(rotate(array, angle), expected)
    np.testing.assert_array_equal(rotate(array.astype(np.uint16), angle), expected)


@pytest.mark.parametrize("shape", [(256, 216), (256, 232), (512, 428), (154, 224)])
def test_rotation_is_scipys_at_real_sizes(shape):
    array = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    for angle in range(-20, 20):
        np.testing.assert_array_equal(rotate(array, angle), ndimage.rotate(array, angle, order=0, reshape=False))


def test_rotation_of_rgb_and_of_arrays_that_are_not_contiguous():
    rgb = np.random.default_rng(0).integers(0, 256, (20, 33, 3)).astype(np.uint8)
    np.testing.assert_array_equal(rotate(rgb, 13), ndimage.rotate(rgb, 13, order=0, reshape=False))
    np.testing.assert_array_equal(rotate(rgb[:, ::-1], 13), rotate(rgb[:, ::-1].copy(), 13))
    assert rotate(rgb, 13).dtype == np.uint8


def bar(shape, row):
    array = np.zeros(shape, np.uint8)
    array[row] = 1
    return array


def test_nothing_moves_by_nothing():
    image = np.random.default_rng(0).random((7, 10)).astype(np.float32)
    np.testing.assert_allclose(shift_scale_rotate(image, (0, 0), 1, 0, "bilinear"), image, atol=1e-5)
    np.testing.assert_array_equal(shift_scale_rotate(bar((7, 10), 2), (0, 0), 1, 0, "nearest"), bar((7, 10), 2))


def test_shift_is_down_and_right_in_shares_of_the_sides_and_brings_zeros():
    label = np.arange(1, 51, dtype=np.uint8).reshape(5, 10)
    moved = shift_scale_rotate(label, (0.2, 0.3), 1, 0, "nearest")
    np.testing.assert_array_equal(moved[1:, 3:], label[:-1, :-3])
    assert not moved[0].any()
    assert not moved[:, :3].any()
    half = shift_scale_rotate(np.ones((4, 4), np.float32), (0.125, 0), 1, 0, "bilinear")
    np.testing.assert_allclose(half[:, 1], [0.5, 1, 1, 1], atol=1e-6)


def test_rotation_is_counter_clockwise_about_the_centre():
    array = np.arange(1, 26, dtype=np.uint8).reshape(5, 5)
    np.testing.assert_array_equal(shift_scale_rotate(array, (0, 0), 1, 90, "nearest"), np.rot90(array))
    square = np.random.default_rng(0).random((6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(shift_scale_rotate(square, (0, 0), 1, 90, "bilinear"), np.rot90(square), atol=1e-5)


def test_scale_makes_larger_about_the_centre():
    label = np.zeros((12, 12), np.uint8)
    label[4:8, 5:7] = 1
    larger = shift_scale_rotate(label, (0, 0), 2, 0, "nearest")
    assert larger.sum() == 4 * label.sum()
    assert larger[2:10, 4:8].all()


@settings(max_examples=40, deadline=None)
@given(down=st.floats(-0.15, 0.15), right=st.floats(-0.15, 0.15), scale=st.floats(0.85, 1.15), angle=st.floats(-25, 25))
def test_the_label_stays_on_its_image(down, right, scale, angle):
    y, x = np.mgrid[:128, :160]
    label = ((y - 58) ** 2 + (x - 92) ** 2 < 20**2).astype(np.uint8)
    image = shift_scale_rotate(label, (down, right), scale, angle, "bilinear")
    moved = shift_scale_rotate(label, (down, right), scale, angle, "nearest")
    assert (image.dtype, moved.dtype) == (np.float32, np.uint8)
    clear = np.abs(image - 0.5) > 0.49
    np.testing.assert_array_equal(image[clear] > 0.5, moved[clear] == 1)
    # a pixel shows a place at most 0.71 pixels from its own: 7 % of the area of a disk of radius 20 that stays inside
    assert moved.sum() == pytest.approx(label.sum() * scale**2, rel=0.1)
