"""What the network is given, and the way back; turning a slice after it was resized."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn.functional import interpolate

from magicseg.data import Preprocessing
from magicseg.data.geometry import rotate_and_flip
from magicseg.errors import UserError


def random_slice(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(shape).astype(np.float32), rng.integers(0, 4, shape).astype(np.uint8)


def random_rgb(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def test_spline_by_scipy():
    (image, label), to_square = random_slice((30, 20)), Preprocessing((24, 24))
    zoom = (24 / 30, 24 / 20)
    np.testing.assert_allclose(to_square.image(image)[0], ndimage.zoom(image, zoom, order=3), atol=1e-6)
    np.testing.assert_array_equal(to_square.label(label), ndimage.zoom(label, zoom, order=0))
    small = to_square.label(label)
    np.testing.assert_array_equal(to_square.restore(small, (30, 20)), ndimage.zoom(small, (30 / 24, 20 / 24), order=0))


@pytest.mark.parametrize("resize", ["spline", "bilinear"])
@pytest.mark.parametrize("size", [(24, 48), (31, 17), (192, 256)])
@pytest.mark.parametrize("kind", ["volume", "grey", "rgb"])
def test_shapes_and_types(resize, size, kind):
    image = {"volume": random_slice((31, 17))[0], "grey": random_rgb((31, 17))[..., 0], "rgb": random_rgb((31, 17))}
    given_to_network = Preprocessing(size, resize).image(image[kind])
    assert given_to_network.shape == (3 if kind == "rgb" else 1, *size)
    assert given_to_network.dtype == np.float32
    assert given_to_network.flags.c_contiguous
    assert -0.5 < given_to_network.min() < given_to_network.max() < 1.5
    label = Preprocessing(size, resize).label(random_slice((31, 17))[1])
    assert (label.shape, label.dtype) == (size, np.uint8)
    assert Preprocessing(size, resize).restore(label, (31, 17)).shape == (31, 17)


@pytest.mark.parametrize("resize", ["spline", "bilinear"])
def test_nothing_happens_at_the_right_size(resize):
    (image, label), same = random_slice((24, 20)), Preprocessing((24, 20), resize)
    np.testing.assert_array_equal(same.image(image)[0], image)
    np.testing.assert_array_equal(same.label(label), label)
    np.testing.assert_array_equal(same.restore(label, (24, 20)), label)
    rgb = random_rgb((24, 20))
    np.testing.assert_array_equal(same.image(rgb), rgb.transpose(2, 0, 1) / np.float32(255))


def test_bilinear_rgb_is_rounded_to_8_bits_and_divided():
    rgb = random_rgb((50, 70))
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)[None].double()
    expected = interpolate(tensor, (24, 32), mode="bilinear", align_corners=False)[0].numpy()
    values = Preprocessing((24, 32), "bilinear").image(rgb) * 255
    np.testing.assert_allclose(values, values.round(), atol=1e-4)
    np.testing.assert_allclose(values, expected, rtol=0, atol=0.5001)


def test_bilinear_fractions_are_not_rounded():
    row = np.array([[0.0, 0.5]], np.float32)
    assert Preprocessing((1, 4), "bilinear").image(row).tolist() == [[[0, 0.125, 0.375, 0.5]]]


def test_spline_of_8_bits_is_that_of_the_divided_image():
    rgb = random_rgb((21, 30))
    expected = [
        ndimage.zoom(channel / np.float32(255), (16 / 21, 20 / 30), order=3) for channel in np.moveaxis(rgb, 2, 0)
    ]
    np.testing.assert_allclose(Preprocessing((16, 20)).image(rgb), expected, atol=1e-6)


def test_imagenet_normalisation_by_hand():
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 0] = 255, 51, 102
    normalised = Preprocessing((2, 2), "bilinear", "imagenet").image(rgb)
    expected = [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0.4 - 0.406) / 0.225]
    np.testing.assert_allclose(normalised[:, 0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(normalised[:, 1, 1], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-5)


def test_imagenet_normalisation_is_for_rgb():
    with pytest.raises(UserError, match=r"normalise=imagenet is for RGB images.*Allowed for them: none"):
        Preprocessing((8, 8), "bilinear", "imagenet").image(random_slice((8, 8))[0])


def test_a_bilinear_mask_is_that_of_at_least_half():
    mask = (random_slice((40, 60))[0] > 0.5).astype(np.uint8)
    tensor = torch.from_numpy(mask).double()[None, None]
    share = interpolate(tensor, (32, 32), mode="bilinear", align_corners=False)[0, 0].numpy()
    resized = Preprocessing((32, 32), "bilinear").label(mask)
    clear = np.abs(share - 0.5) > 1e-9
    np.testing.assert_array_equal(resized[clear], share[clear] > 0.5)


def test_a_bilinear_label_is_the_class_with_the_largest_share():
    row = np.array([[0, 0, 3, 3, 3, 7]], np.uint8)
    assert Preprocessing((1, 3), "bilinear").label(row).tolist() == [[0, 3, 3]]  # halves of 3 and 7: the smaller
    assert Preprocessing((1, 12), "bilinear").label(row).tolist() == [[0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 7, 7]]
    assert set(np.unique(Preprocessing((9, 9), "bilinear").label(np.array([[1, 4], [4, 1]], np.uint8)))) == {1, 4}


def test_restoring_a_bilinear_label_takes_the_nearest_centre():
    label = np.array([[0, 1, 2]], np.uint8)
    assert Preprocessing((1, 3), "bilinear").restore(label, (1, 6)).tolist() == [[0, 0, 1, 1, 2, 2]]
    assert Preprocessing((1, 3), "spline").restore(label, (1, 6)).tolist() == [[0, 0, 1, 1, 2, 2]]
    assert Preprocessing((1, 3), "bilinear").restore(label, (1, 4)).tolist() == [[0, 1, 1, 2]]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((8, 8), "cubic"), "Unknown resizing 'cubic'.*Allowed: bilinear, spline"),
        (((8, 8), "spline", "imagnet"), "Unknown normalisation 'imagnet'. Did you mean imagenet"),
        (((8, 0),), r"size \(8, 0\) is not a \(height, width\) in pixels; both must be at least 1"),
        (((8,),), r"size \(8,\) is not a \(height, width\)"),
    ],
)
def test_mistakes_are_told(arguments, text):
    with pytest.raises(UserError, match=text):
        Preprocessing(*arguments)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(20, 80),
    width=st.integers(20, 80),
    side=st.integers(16, 80),
    turns=st.integers(0, 3),
    axis=st.integers(0, 1),
)
def test_the_shortcut_changes_nothing_where_it_is_allowed(height, width, side, turns, axis):
    to_square = Preprocessing((side, side))
    image, label = random_slice((height, width), seed=height * width)
    if to_square.commutes_with_turning((height, width)):
        late = [rotate_and_flip(array, turns, axis) for array in to_square.resize_pair(image, label)]
        early = to_square.resize_pair(rotate_and_flip(image, turns, axis), rotate_and_flip(label, turns, axis))
        np.testing.assert_allclose(late[0], early[0], atol=1e-6)
        np.testing.assert_array_equal(late[1], early[1])


# every slice shape of ACDC; (256, 232), (256, 248) and (512, 428) are known to lose an edge on the way to 224
ACDC_SHAPES = [
    *[(154, 224), (174, 208), (176, 256), (184, 256), (208, 174), (208, 256), (216, 256), (224, 154), (224, 168)],
    *[(224, 174), (224, 180), (224, 210), (224, 222), (256, 184), (256, 192), (256, 200), (256, 208), (256, 214)],
    *[(256, 216), (256, 224), (256, 232), (256, 240), (256, 248), (256, 256), (288, 184), (288, 264), (304, 216)],
    *[(384, 276), (512, 428)],
]


@pytest.mark.parametrize("shape", ACDC_SHAPES)
def test_the_shortcut_is_taken_exactly_where_it_changes_nothing(shape):
    to_square = Preprocessing((224, 224))
    image, label = random_slice(shape)
    resized, changes = to_square.resize_pair(image, label), []
    for axis in range(2):
        flipped = to_square.resize_pair(np.flip(image, axis), np.flip(label, axis))
        changes.append(np.abs(np.flip(resized[0], axis) - flipped[0]).max() > 1e-6)
        changes.append((np.flip(resized[1], axis) != flipped[1]).any())
    assert to_square.commutes_with_turning(shape) is not any(changes)


@pytest.mark.parametrize("chosen", [Preprocessing((24, 26)), Preprocessing((24, 24), "bilinear")])
def test_no_shortcut_to_sizes_that_are_not_square_nor_for_bilinear_labels(chosen):
    assert Preprocessing((24, 24)).commutes_with_turning((30, 20))
    assert not chosen.commutes_with_turning((30, 20))


def test_an_odd_size_can_put_a_pixel_half_way_between_two_labels():
    label, odd = np.arange(4, dtype=np.uint8)[None].repeat(4, axis=0), Preprocessing((3, 3))
    assert (rotate_and_flip(odd.label(label), 0, 1) != odd.label(rotate_and_flip(label, 0, 1))).any()
    assert not odd.commutes_with_turning((4, 4))
