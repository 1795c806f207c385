"""Intensities come to the prepared form by one rule."""

import numpy as np
import pytest

from magicseg.data.sources.intensity import INTENSITIES
from magicseg.errors import UserError


def test_hounsfield_units_are_clipped_and_scaled():
    hu = np.array([[-1000, -125, -25, 75, 275, 3000]], np.int16)
    scaled = INTENSITIES["abdominal_window"](hu, "a")
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, np.float32([[0, 0, 0.25, 0.5, 1, 1]]))


@pytest.mark.parametrize("least", [0, -125])
def test_what_is_no_ct_is_refused(least):
    message = rf"a.nii: the smallest value is {least}; a CT in Hounsfield units goes below -125"
    with pytest.raises(UserError, match=message):
        INTENSITIES["abdominal_window"](np.full((2, 2), least, np.int16), "a.nii")


def test_minimum_and_maximum_become_0_and_1():
    image = np.array([[[-3, 1]], [[5, 1]]], np.int16)
    np.testing.assert_array_equal(INTENSITIES["min_max"](image, "a"), np.float32([[[0, 0.5]], [[1, 0.5]]]))


@pytest.mark.parametrize("rule", ["as_they_are", "by_type"])
def test_8_bit_pictures_stay(rule):
    image = np.array([[7, 9]], np.uint8)
    assert INTENSITIES[rule](image, "a") is image


def test_others_stay_or_are_scaled():
    image = np.array([[0.25, 0.5]])
    same = INTENSITIES["as_they_are"](image, "a")
    np.testing.assert_array_equal(same, image)
    assert same.dtype == np.float32
    np.testing.assert_array_equal(INTENSITIES["by_type"](image, "a"), np.float32([[0, 1]]))
