"""Surface distances against medpy, MONAI, a brute-force search and exact hand-made answers."""

import itertools
import math

import numpy as np
import pytest
from golden_metrics import golden_cases, number
from hypothesis import given, settings
from hypothesis import strategies as st
from medpy.metric import binary as medpy
from monai.metrics import compute_surface_dice
from scipy import ndimage
from torch import from_numpy

from magicseg.metrics import surface_distances
from magicseg.metrics.surface import borders_per_class

MEDPY = ("hd", "hd95", "asd", "assd")
EXACT_SPACINGS = {2: [None, (1.5, 1.5), (0.5, 3.0)], 3: [None, (10.0, 1.5, 1.5), (3.0, 0.78125, 0.78125)]}


def blobs(rng, shape, smooth):
    """Return a random mask of smooth parts that may touch the edge, empty never."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), smooth)
    return field >= np.quantile(field, rng.uniform(0.3, 0.98))


def cube(start, stop, shape):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


# Against other libraries


@pytest.mark.parametrize("case", golden_cases("binary", "multiclass"))
def test_golden_values(case):
    for label, expected in case.binary():
        prediction, truth = case.prediction == label, case.truth == label
        recorded, monai = expected["medpy"], expected["monai"]
        if number(recorded["hd"]) is None:  # a mask is empty: medpy raises, and so do we
            with pytest.raises(ValueError, match="is empty; a distance"):
                surface_distances(prediction, truth, case.spacing)
            continue
        found = surface_distances(prediction, truth, case.spacing)
        assert (found.to_truth.size, found.to_prediction.size) == (recorded["n_border_pred"], recorded["n_border_gt"])
        assert (found.hd, found.hd95) == (recorded["hd"], recorded["hd95"])
        for ours, theirs in (("asd",) * 2, ("asd_reversed",) * 2, ("assd",) * 2, ("assd_mean", "assd_before_0.5.2")):
            assert getattr(found, ours) == pytest.approx(recorded[theirs], rel=1e-12), theirs
        assert found.hd95_max == pytest.approx(expected["MetricsReloaded"]["hd95_max_of_directed"], rel=1e-12)
        # MONAI places its percentile in float32, which interpolation between two distances makes larger
        for ours, theirs, rel in ((found.hd95_max, "hd95", 2e-5), (found.asd, "asd", 1e-6), (found.assd, "assd", 1e-6)):
            value = number(monai.get(f"{theirs}_spacing" if case.spacing else theirs))
            assert value is None or ours == pytest.approx(value, rel=rel), theirs


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("shape", [(31, 45), (7, 20, 23), (1, 17, 19)], ids=str)
def test_equal_to_medpy_bit_for_bit(shape, seed):
    rng = np.random.default_rng(seed)
    prediction, truth = (blobs(rng, shape, rng.uniform(0, 3)) for _ in range(2))
    spacing = EXACT_SPACINGS[len(shape)][seed % 3]
    found = surface_distances(prediction, truth, spacing)
    assert {name: getattr(found, name) for name in MEDPY} == {
        name: float(getattr(medpy, name)(prediction, truth, spacing)) for name in MEDPY
    }
    assert found.asd_reversed == medpy.asd(truth, prediction, spacing)


@pytest.mark.parametrize("spacing", [(2.5, 0.6, 0.6), (5.0, 0.7, 0.7), (1.4, 1.4, 1.4), (0.9, 1.1, 1.3)], ids=str)
def test_within_rounding_of_medpy_where_squares_are_inexact(spacing):
    rng = np.random.default_rng(1)
    for _ in range(4):
        prediction, truth = (blobs(rng, (8, 26, 26), 2) for _ in range(2))
        found = surface_distances(prediction, truth, spacing)
        for name in MEDPY:
            assert getattr(found, name) == pytest.approx(getattr(medpy, name)(prediction, truth, spacing), rel=1e-15)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
def test_nsd_agrees_with_monai(tolerance):
    rng = np.random.default_rng(2)
    for _ in range(5):
        pair = [blobs(rng, (30, 40), 2) for _ in range(2)]
        tensors = (from_numpy(mask[None, None].astype(np.float32)) for mask in pair)
        theirs = compute_surface_dice(*tensors, class_thresholds=[tolerance], include_background=True).item()
        assert surface_distances(*pair).nsd(tolerance) == pytest.approx(theirs, rel=1e-6)


# Against brute force


def brute_force(source, target, spacing):
    """Return every border voxel's smallest distance to the other border, from all pairs."""
    a, b = (np.argwhere(mask & ~ndimage.binary_erosion(mask)) for mask in (source, target))
    squares = ((a[:, None] - b[None]) * np.asarray(spacing)) ** 2
    return np.sqrt(squares.sum(axis=-1).min(axis=1))


def small_pair(rng):
    """Return two random non-empty masks of up to three axes: noise, boxes to the edge, single voxels."""
    shape = tuple(rng.integers(1, 9, rng.integers(1, 4)))
    pair = []
    for _ in range(2):
        mask = rng.random(shape) < rng.choice([0.05, 0.3, 0.7, 1.0])
        if rng.random() < 0.3:
            start = rng.integers(0, shape)
            mask = cube(start, start + rng.integers(1, 5, len(shape)), shape)
        mask[tuple(rng.integers(0, shape))] = True
        pair.append(mask)
    return pair


@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_small_masks_against_all_pairs(seed):
    rng = np.random.default_rng([3, seed])
    for _ in range(1000):
        prediction, truth = small_pair(rng)
        exact = rng.random() < 0.5
        spacing = rng.integers(1, 9, truth.ndim) / 4 if exact else rng.uniform(0.3, 5, truth.ndim)
        found = surface_distances(prediction, truth, spacing)
        for ours, pair in ((found.to_truth, (prediction, truth)), (found.to_prediction, (truth, prediction))):
            np.testing.assert_allclose(ours, brute_force(*pair, spacing), rtol=0 if exact else 1e-15, atol=0)


# Exact answers


def test_shifted_square():
    """5 x 5 squares two columns apart: of the 16 border pixels 6 coincide, 4 are one pixel away and 6 are two."""
    found = surface_distances(cube((2, 2), (7, 7), (12, 12)), cube((2, 4), (7, 9), (12, 12)))
    assert sorted(found.to_truth) == [0.0] * 6 + [1.0] * 4 + [2.0] * 6
    assert (found.hd, found.hd95, found.hd95_max, found.asd, found.assd) == (2.0, 2.0, 2.0, 1.0, 1.0)
    assert (found.nsd(0), found.nsd(1), found.nsd(2)) == (6 / 16, 10 / 16, 1.0)


def test_nested_cubes():
    """A voxel in the middle of a 5 x 5 x 5 cube: 2 to the faces' middles, and sqrt(12) to the corners."""
    found = surface_distances(cube((4, 4, 4), (5, 5, 5), (9, 9, 9)), cube((2, 2, 2), (7, 7, 7), (9, 9, 9)))
    assert found.to_truth.tolist() == [2.0]
    assert found.to_prediction.size == 125 - 27
    assert (found.hd, found.asd) == (math.sqrt(12), 2.0)
    squares = np.round(found.to_prediction**2).astype(int)
    assert np.bincount(squares).nonzero()[0].tolist() == [4, 5, 6, 8, 9, 12]


def test_single_voxels_with_spacing():
    found = surface_distances(cube((0, 0, 0), (1, 1, 1), (3, 9, 9)), cube((2, 3, 4), (3, 4, 5), (3, 9, 9)), (6, 4, 3))
    assert found.hd == found.hd95 == found.assd == math.sqrt(12**2 + 12**2 + 12**2)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.5, 2.0)], ids=str)
def test_near_and_far_voxels_at_every_offset(spacing):
    """Two voxels, once near enough to be looked up and once so far that the tree finds them; rows never wrap around."""
    for offset in itertools.product(range(-5, 6), repeat=3):
        prediction, truth = np.zeros((2, 11, 11, 11), bool)
        truth[5, 5, 5] = prediction[tuple(np.add(offset, 5))] = True
        found = surface_distances(prediction, truth, spacing)
        expected = math.sqrt(sum((step * size) ** 2 for step, size in zip(offset, spacing, strict=True)))
        assert found.to_truth.tolist() == found.to_prediction.tolist() == [expected]


def test_the_edge_of_the_image_is_border():
    found = surface_distances(np.ones((3, 3), bool), cube((1, 1), (2, 2), (3, 3)))
    assert found.to_truth.tolist() == [math.sqrt(2), 1, math.sqrt(2), 1, 1, math.sqrt(2), 1, math.sqrt(2)]
    assert found.to_prediction.tolist() == [1.0]


def test_a_stray_voxel_moves_hd_but_not_hd95():
    truth = cube((5, 5), (25, 25), (60, 60))
    stray = truth.copy()
    stray[59, 59] = True
    found = surface_distances(stray, truth)
    assert (found.hd, found.hd95, found.asd_reversed) == (math.hypot(35, 35), 0.0, 0.0)


def test_pooled_and_max_percentile_differ():
    """Distances 0, 2, ..., 10 one way and 0 the other: one percentile of all seven, or the larger one of two."""
    truth, prediction = np.zeros(30, bool), np.zeros(30, bool)
    truth[0], prediction[:12:2] = True, True
    found = surface_distances(prediction, truth)
    assert found.to_truth.tolist() == [0, 2, 4, 6, 8, 10]
    assert found.hd95_max == 9.5
    assert found.hd95 == pytest.approx(9.4)
    assert (found.asd, found.asd_reversed, found.assd, found.assd_mean) == (5.0, 0.0, 30 / 7, 2.5)


# Properties


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_properties(seed):
    rng = np.random.default_rng(seed)
    prediction, truth = small_pair(rng)
    found, swapped = surface_distances(prediction, truth), surface_distances(truth, prediction)
    assert np.array_equal(found.to_truth, swapped.to_prediction)
    assert (found.hd, found.hd95, found.hd95_max) == (swapped.hd, swapped.hd95, swapped.hd95_max)
    assert found.asd == swapped.asd_reversed
    assert 0 <= found.hd95 <= found.hd
    assert found.hd95_max <= found.hd
    assert not surface_distances(truth, truth).to_truth.any()
    doubled = surface_distances(prediction, truth, (2.0,) * truth.ndim)
    assert np.array_equal(doubled.to_truth, 2 * found.to_truth)
    padded = surface_distances(np.pad(prediction, 2), np.pad(truth, 2))
    assert np.array_equal(padded.to_truth, found.to_truth)
    assert np.array_equal(padded.to_prediction, found.to_prediction)
    assert 0 <= found.nsd(0) <= found.nsd(1) <= found.nsd(found.hd) == 1


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", ">i2"])
def test_any_whole_numbers_are_a_mask(dtype):
    prediction, truth = cube((1, 1), (4, 4), (6, 6)), cube((2, 1), (5, 5), (6, 6))
    scale = 1 if dtype == "bool" else 7
    found = surface_distances(prediction.astype(dtype) * scale, truth.astype(dtype))
    assert found.hd == surface_distances(prediction, truth).hd


def test_all_classes_at_once_equal_one_after_another():
    rng = np.random.default_rng(4)
    prediction, truth = (rng.integers(0, 5, (9, 12, 11)).astype(np.uint8) for _ in range(2))
    prediction[prediction == 2] = 0
    for label, borders in enumerate(borders_per_class(prediction, truth, 5), start=1):
        if label in (2, 5):
            assert borders is None
            continue
        alone = surface_distances(prediction == label, truth == label, (3, 1, 1))
        assert np.array_equal(borders.distances((3, 1, 1)).to_truth, alone.to_truth)
        assert np.array_equal(borders.distances((3, 1, 1)).to_prediction, alone.to_prediction)


def test_inputs_stay_as_they_were():
    prediction, truth = cube((1, 1), (4, 4), (6, 6)), cube((2, 1), (5, 5), (6, 6))
    before = prediction.copy(), truth.copy()
    surface_distances(prediction, truth)
    assert np.array_equal(prediction, before[0])
    assert np.array_equal(truth, before[1])


@pytest.mark.parametrize(
    ("spacing", "message"),
    [
        ((1.0,), r"spacing \(1.0,\) has 1 values for arrays of 2 axes"),
        ((1.0, 0.0), "must hold positive finite numbers"),
        ((-1.0, 1.0), "must hold positive finite numbers"),
        ((1.0, math.nan), "must hold positive finite numbers"),
        ((1.0, math.inf), "must hold positive finite numbers"),
    ],
)
def test_wrong_spacing_is_named(spacing, message):
    with pytest.raises(ValueError, match=message):
        surface_distances(np.eye(3, dtype=int), np.eye(3, dtype=int), spacing)


def test_wrong_masks_are_named():
    mask = np.eye(3, dtype=int)
    with pytest.raises(ValueError, match="prediction is empty; a distance between surfaces needs foreground"):
        surface_distances(np.zeros_like(mask), mask)
    with pytest.raises(ValueError, match="truth is empty"):
        surface_distances(mask, np.zeros_like(mask))
    with pytest.raises(ValueError, match="prediction must hold whole numbers"):
        surface_distances(mask * 0.7, mask)
    with pytest.raises(ValueError, match="both need the same shape"):
        surface_distances(mask, mask[:2])
    with pytest.raises(ValueError, match="tolerance must be 0 or more; found -1"):
        surface_distances(mask, mask).nsd(-1)
