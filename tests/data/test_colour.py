"""Colours against torchvision's float formulas, and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as torchvision

from magicseg.data.colour import change_brightness, change_contrast, change_hue, change_saturation

PAIRS = [
    (change_brightness, torchvision.adjust_brightness),
    (change_contrast, torchvision.adjust_contrast),
    (change_saturation, torchvision.adjust_saturation),
]


def random_image(seed, shape=(11, 13, 3)):
    image = np.random.default_rng(seed).random(shape).astype(np.float32)
    image[0], image[1] = image[0].round(), image[1, :, :1] if len(shape) == 3 else image[1]  # pure colours, greys
    return image


def by_torchvision(function, image, amount):
    return function(torch.from_numpy(image).permute(2, 0, 1), amount).permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda function: function.__name__)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), factor=st.floats(0, 2))
def test_factors_are_torchvisions(ours, theirs, seed, factor):
    image = random_image(seed)
    changed = ours(image, factor)
    np.testing.assert_allclose(changed, by_torchvision(theirs, image, factor), atol=2e-4)  # its luminance: .2989
    assert (changed.dtype, changed.shape) == (np.float32, image.shape)
    assert 0 <= changed.min() <= changed.max() <= 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), shift=st.floats(-0.5, 0.5))
def test_hue_is_torchvisions(seed, shift):
    image = random_image(seed)
    changed = change_hue(image, shift)
    np.testing.assert_allclose(changed, by_torchvision(torchvision.adjust_hue, image, shift), atol=1e-5)
    assert changed.dtype == np.float32


def test_hue_by_hand():
    red, dark = np.array([[[1, 0, 0]]], np.float32), np.array([[[0.4, 0.2, 0.2]]], np.float32)
    np.testing.assert_allclose(change_hue(red, 1 / 3), [[[0, 1, 0]]], atol=1e-6)
    np.testing.assert_allclose(change_hue(red, -1 / 3), [[[0, 0, 1]]], atol=1e-6)
    np.testing.assert_allclose(change_hue(red, 1 / 12), [[[1, 0.5, 0]]], atol=1e-6)
    np.testing.assert_allclose(change_hue(dark, 0.5), [[[0.2, 0.4, 0.4]]], atol=1e-6)


def test_nothing_changes_by_nothing():
    image = random_image(3)
    for change in (change_brightness, change_contrast, change_saturation):
        np.testing.assert_allclose(change(image, 1), image, atol=1e-6)
    np.testing.assert_allclose(change_hue(image, 0), image, atol=1e-6)


def test_grey_images_have_brightness_and_contrast_only():
    grey = random_image(4, (11, 13))
    assert change_hue(grey, 0.2) is grey
    assert change_saturation(grey, 0.5) is grey
    np.testing.assert_allclose(change_brightness(grey, 0.5), grey / 2, atol=1e-6)
    np.testing.assert_allclose(change_contrast(grey, 0), np.full_like(grey, grey.mean()), atol=1e-6)
