"""Components and watershed: masks with known parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicseg.metrics import connected_components, panoptic_quality, split_instances, watershed
from magicseg.metrics.instances import METHODS

Y, X = np.mgrid[:60, :90]


def disk(y, x, radius):
    return (Y - y) ** 2 + (X - x) ** 2 < radius**2


def partition(instances):
    """Return the sets of pixels, whatever their numbers."""
    return {tuple(np.flatnonzero(instances == number)) for number in np.setdiff1d(instances, 0)}


def test_corner_contact_joins_only_with_eight_neighbours():
    mask = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]])
    assert connected_components(mask, 4).tolist() == [[1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0], [0, 3, 0, 4]]
    assert connected_components(mask, 8).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 2, 0, 3]]


def test_watershed_cuts_two_touching_disks_at_their_neck():
    """Two circles of radius 18 and 14 meet at x = 40.9."""
    mask = disk(30, 25, 18) | disk(30, 52, 14)
    instances = watershed(mask)
    assert connected_components(mask).max() == 1
    assert instances.max() == 2
    left, right = instances[30, 25], instances[30, 52]
    assert np.all(instances[mask & (X < 39)] == left)
    assert np.all(instances[mask & (X > 43)] == right)


def test_watershed_leaves_convex_shapes_whole():
    for mask in (disk(30, 40, 25), disk(30, 40, 2.5), (abs(Y - 30) < 8) & (abs(X - 45) < 12)):
        assert watershed(mask).max() == 1


def test_watershed_finds_more_of_crowded_nuclei_than_components():
    """A row of overlapping disks, the true ones cut half way between their centres."""
    centres = range(10, 90, 14)
    mask = np.any([disk(30, x, 9) for x in centres], axis=0)
    truth = np.where(mask, 1 + np.argmin([abs(X - x) for x in centres], axis=0), 0)
    assert panoptic_quality(watershed(mask), truth).pq > 0.9
    assert panoptic_quality(connected_components(mask), truth).pq == 0


def test_peaks_within_min_distance_are_one():
    mask = disk(30, 30, 10) | disk(30, 42, 10)
    assert watershed(mask, min_distance=11).max() == 2
    assert watershed(mask, min_distance=12).max() == 1


def test_small_nuclei_that_touch_stay_two_under_the_slight_smoothing():
    """Smoothing by 2 pixels instead of 1 would melt them into one."""
    assert watershed(disk(30, 30, 3.5) | disk(30, 35, 3.5), min_distance=2).max() == 2


def test_watershed_of_separate_parts_never_joins_them():
    mask = disk(20, 20, 5) | disk(20, 31, 5)
    assert partition(watershed(mask, min_distance=20)) == partition(connected_components(mask))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(METHODS))
def test_parts_cover_the_mask_and_are_numbered_without_gaps(seed, method):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 24, 2)) < rng.uniform(0, 1)
    instances = split_instances(mask, method)
    assert np.array_equal(instances > 0, mask)
    assert np.array_equal(np.setdiff1d(instances, 0), np.arange(1, instances.max() + 1))
    assert instances.dtype == np.int32
    whole = connected_components(mask, 8)
    assert all(np.unique(whole[instances == number]).size == 1 for number in range(1, instances.max() + 1))


@pytest.mark.parametrize("method", METHODS)
def test_empty_and_full_masks(method):
    assert not split_instances(np.zeros((5, 6), bool), method).any()
    assert np.all(split_instances(np.ones((5, 6), np.uint8) * 255, method) == 1)


def test_method_names_mean_what_they_say():
    mask = np.random.default_rng(0).random((30, 30)) < 0.5
    assert np.array_equal(split_instances(mask, "components_4"), connected_components(mask, 4))
    assert np.array_equal(split_instances(mask, "components_8"), connected_components(mask, 8))
    assert np.array_equal(split_instances(mask, "watershed"), watershed(mask))


def test_wrong_input_is_named():
    mask = np.eye(3, dtype=int)
    with pytest.raises(ValueError, match=r"method is 'magic'\. Allowed: components_4, components_8, watershed"):
        split_instances(mask, "magic")
    with pytest.raises(ValueError, match=r"connectivity is 6\. Allowed: 4, 8"):
        connected_components(mask, 6)
    with pytest.raises(ValueError, match="min_distance is 0; it must be 1 pixel or more"):
        watershed(mask, 0)
    with pytest.raises(ValueError, match=r"mask must be \[H, W\], bool or integer; found shape \(3,\)"):
        connected_components(mask[0])
    with pytest.raises(ValueError, match=r"bool or integer; found .* of float64"):
        watershed(mask * 0.5)
