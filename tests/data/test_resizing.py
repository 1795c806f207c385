"""Each operator against the library whose rule it is: scipy's zoom, torch's bilinear interpolation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn.functional import interpolate

from magicseg.data.resizing import nearest, resize_linear, resize_nearest, weights

lengths = st.integers(1, 90)


def random_slice(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(shape).astype(np.float32), rng.integers(1, 5, shape).astype(np.uint8)


@settings(max_examples=150, deadline=None)
@given(height=lengths, width=lengths, rows=lengths, columns=lengths, black_and_white=st.booleans())
def test_spline_is_scipys_zoom(height, width, rows, columns, black_and_white):
    image, label = random_slice((height, width), seed=height * width)
    image = image.round() if black_and_white else image
    zoom = (rows / height, columns / width)
    resized = resize_linear(image, (rows, columns), "spline")
    np.testing.assert_allclose(resized, ndimage.zoom(image, zoom, order=3), rtol=0, atol=1e-6)
    chosen = resize_nearest(label, (rows, columns), "spline")
    np.testing.assert_array_equal(chosen, ndimage.zoom(label, zoom, order=0))
    assert chosen.dtype == np.uint8


@pytest.mark.parametrize("shape", [(256, 216), (512, 428), (256, 232), (154, 224)])
def test_spline_is_scipys_zoom_at_real_sizes(shape):
    image, _ = random_slice(shape)
    zoom = (224 / shape[0], 224 / shape[1])
    resized = resize_linear(image, (224, 224), "spline")
    np.testing.assert_allclose(resized, ndimage.zoom(image, zoom, order=3), rtol=0, atol=1e-6)


def test_the_last_column_that_scipy_loses_is_lost_here_too():
    image, label = random_slice((232, 232))
    assert (resize_linear(image, (224, 224), "spline")[-1] == 0).all()
    assert (resize_nearest(label, (224, 224), "spline")[:, -1] == 0).all()
    assert (nearest("spline", 232, 224) == -1).tolist() == [False] * 223 + [True]


def test_samples_of_a_spline_are_aligned_at_the_corners():
    image, _ = random_slice((9, 7))
    np.testing.assert_allclose(resize_linear(image, (16, 24), "spline")[::15, ::23], image[::8, ::6], atol=1e-6)
    np.testing.assert_allclose(resize_linear(image, (17, 13), "spline")[::2, ::2], image, atol=1e-6)
    assert nearest("spline", 3, 4).tolist() == [0, 1, 1, 2]


@settings(max_examples=100, deadline=None)
@given(height=lengths, width=lengths, rows=lengths, columns=lengths)
def test_bilinear_is_torchs(height, width, rows, columns):
    image, _ = random_slice((height, width), seed=height * width)
    tensor = torch.from_numpy(image).double()[None, None]
    expected = interpolate(tensor, (rows, columns), mode="bilinear", align_corners=False)[0, 0].numpy()
    np.testing.assert_allclose(resize_linear(image, (rows, columns), "bilinear"), expected, rtol=0, atol=1e-6)


def test_bilinear_by_hand():
    row = np.array([[0.0, 8.0]])
    assert resize_linear(row, (1, 4), "bilinear").tolist() == [[0, 2, 6, 8]]
    assert resize_linear(row, (2, 1), "bilinear").tolist() == [[4], [4]]
    wide = np.arange(8.0)[None]
    assert resize_linear(wide, (1, 2), "bilinear").tolist() == [[1.5, 5.5]]  # not smoothed: 1 and 2, 5 and 6


@settings(max_examples=100, deadline=None)
@given(n=lengths, m=lengths)
def test_nearest_centre_is_never_more_than_half_a_sample_away(n, m):
    chosen, position = nearest("bilinear", n, m), (np.arange(m) + 0.5) * n / m - 0.5
    assert np.abs(chosen - position).max() <= 0.5 + 1e-9
    assert 0 <= chosen.min() <= chosen.max() < n


@settings(max_examples=100, deadline=None)
@given(n=lengths, more=lengths)
def test_labels_enlarged_by_nearest_centres_come_back_and_those_of_a_spline_may_not(n, more):
    there, back = nearest("bilinear", n, n + more), nearest("bilinear", n + more, n)
    assert there[back].tolist() == list(range(n))
    there, back = nearest("spline", 16, 30), nearest("spline", 30, 16)
    assert np.flatnonzero(there[back] != np.arange(16)).size == 1


def test_nearest_centre_is_torchs_nearest_exact():
    _, label = random_slice((37, 53))
    tensor = torch.from_numpy(label)[None, None].float()
    for size in [(64, 64), (16, 100), (37, 20), (224, 224)]:
        expected = interpolate(tensor, size, mode="nearest-exact")[0, 0].numpy()
        np.testing.assert_array_equal(resize_nearest(label, size, "bilinear"), expected)


@pytest.mark.parametrize("method", ["spline", "bilinear"])
def test_channels_are_resized_one_by_one(method):
    image = np.random.default_rng(0).integers(0, 256, (20, 31, 3)).astype(np.uint8)
    resized = resize_linear(image, (12, 40), method)
    for channel in range(3):
        np.testing.assert_array_equal(resized[..., channel], resize_linear(image[..., channel], (12, 40), method))


@pytest.mark.parametrize("method", ["spline", "bilinear"])
def test_weights_sum_to_one_and_few_are_kept(method):
    operator = weights(method, 256, 224)
    np.testing.assert_allclose(operator.sum(axis=1), 1, atol=1e-6)
    assert operator.nnz < (2 if method == "bilinear" else 40) * 224 + 1
