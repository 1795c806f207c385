"""Panoptic quality against CoNIC's values, MONAI and torchmetrics, and by hand."""

import tracemalloc

import numpy as np
import pytest
from golden_metrics import golden_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from magicseg.metrics import (
    PanopticQuality,
    connected_components,
    mean_pq,
    panoptic_quality,
    panoptic_quality_per_class,
    pooled,
)

GOLDEN = golden_cases("instance")
FIELDS = ("tp", "fp", "fn", "sum_iou", "dq", "sq", "pq")


def images(case):
    """Yield (prediction, truth) of each image: instance and class map in the last axis."""
    return zip(case.prediction, case.truth, strict=True)


def values(quality):
    return {field: getattr(quality, field) for field in FIELDS}


@pytest.mark.parametrize("case", GOLDEN)
def test_every_image_equals_conic_bit_for_bit(case):
    expected = case.expected["CoNIC get_pq"]
    found = [panoptic_quality(p[..., 0], t[..., 0]) for p, t in images(case)]
    assert [values(quality) for quality in found] == expected["per_image"]
    assert mean_pq(found) == pytest.approx(expected["pq_mean_over_images"], rel=1e-12, abs=0)
    if expected["pq_pooled_over_images"] is not None:  # recorded without the 1e-6 in the denominators
        assert pooled(found).pq == pytest.approx(expected["pq_pooled_over_images"], rel=1e-6)


@pytest.mark.parametrize("case", GOLDEN)
def test_images_agree_with_monai_and_torchmetrics(case):
    """Both leave CoNIC's 1e-6 out, or add it elsewhere."""
    found = [panoptic_quality(p[..., 0], t[..., 0]).pq for p, t in images(case)]
    for library in ("monai compute_panoptic_quality", "torchmetrics panoptic_quality, thing class"):
        assert found == pytest.approx(case.expected[library]["per_image"], abs=1e-6)


@pytest.mark.parametrize("case", GOLDEN)
def test_classes_pooled_over_the_set_equal_conic(case):
    per_image = [
        panoptic_quality_per_class(p[..., 0], t[..., 0], p[..., 1], t[..., 1], n_classes=6) for p, t in images(case)
    ]
    expected = case.expected["CoNIC multi_pq+"]
    found = [pooled(of_class) for of_class in zip(*per_image, strict=True)]
    assert [quality.pq for quality in found] == pytest.approx(expected["per_class"], rel=1e-12)
    assert mean_pq(found) == pytest.approx(expected["mean"], rel=1e-12)
    for quality, recorded in zip(found, expected["pooled_tp_fp_fn_sumiou"], strict=True):
        assert [quality.tp, quality.fp, quality.fn] == recorded[:3]
        assert quality.sum_iou == pytest.approx(recorded[3], rel=1e-12)


@pytest.mark.parametrize("case", GOLDEN)
@pytest.mark.parametrize("connectivity", [4, 8])
def test_components_of_a_binary_mask(case, connectivity):
    recorded = case.expected["binary model, components as instances"]
    for (p, t), expected in zip(images(case), recorded, strict=True):
        predicted = connected_components(p[..., 0], connectivity)
        against = {
            "gt_instances": t[..., 0],
            f"gt_components_{connectivity}": connected_components(t[..., 0], connectivity),
        }
        for name, truth in against.items():
            key = f"pred_components_{connectivity}_vs_{name}"
            assert values(panoptic_quality(predicted, truth)) == expected[key]


def test_by_hand():
    """IoU 3/4 matches; IoU 1/2 does not, and costs a surplus and a missed one; one more is surplus, one missed."""
    truth = np.array([1, 1, 1, 1, 0, 2, 2, 0, 0, 5, 0, 0])
    prediction = np.array([9, 9, 9, 0, 0, 4, 0, 0, 0, 0, 0, 3])
    found = panoptic_quality(prediction, truth)
    assert found == PanopticQuality(tp=1, fp=2, fn=2, sum_iou=0.75)
    assert found.dq == pytest.approx(1 / 3, abs=1e-6)
    assert found.sq == pytest.approx(0.75, abs=1e-6)
    assert found.pq == pytest.approx(0.25, abs=1e-6)


def test_nothing_to_find_is_zero_as_in_conic():
    empty = np.zeros((3, 3), int)
    assert panoptic_quality(empty, empty) == PanopticQuality(0, 0, 0, 0.0)
    assert panoptic_quality(empty, empty).pq == 0
    assert panoptic_quality(empty, np.eye(3, dtype=int)) == PanopticQuality(0, 0, 1, 0.0)
    assert panoptic_quality(np.eye(3, dtype=int), empty) == PanopticQuality(0, 1, 0, 0.0)


def test_a_match_of_another_class_is_none():
    instances = np.array([1, 1, 0, 2, 2])
    found = panoptic_quality_per_class(instances, instances, np.array([1, 1, 0, 2, 2]), np.array([1, 1, 0, 1, 1]), 2)
    assert found == [PanopticQuality(1, 0, 1, 1.0), PanopticQuality(0, 1, 0, 0.0)]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_pair_by_pair_and_ignores_numbering(seed):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 5, (3, 3)), np.ones((4, 4), int))
    prediction = np.roll(truth, rng.integers(0, 3), axis=rng.integers(0, 2))
    matches = []
    for t in np.setdiff1d(truth, 0):
        for p in np.setdiff1d(prediction, 0):
            iou = np.sum((truth == t) & (prediction == p)) / np.sum((truth == t) | (prediction == p))
            matches += [iou] if iou > 0.5 else []
    n_true, n_predicted = (np.setdiff1d(x, 0).size for x in (truth, prediction))
    found = panoptic_quality(prediction, truth)
    assert (found.tp, found.fp, found.fn) == (len(matches), n_predicted - len(matches), n_true - len(matches))
    assert found.sum_iou == pytest.approx(sum(matches), rel=1e-12)
    renumbered = panoptic_quality(np.array([0, 70, 3, 1000, 8])[prediction], truth)
    assert (renumbered.tp, renumbered.fp, renumbered.fn) == (found.tp, found.fp, found.fn)
    swapped = panoptic_quality(truth, prediction)
    assert (swapped.tp, swapped.fp, swapped.fn) == (found.tp, found.fn, found.fp)


def test_wrong_input_is_named():
    mask = np.eye(3, dtype=int)
    with pytest.raises(ValueError, match=r"must hold 0 .* or positive numbers; found a negative one"):
        panoptic_quality(-mask, mask)
    with pytest.raises(ValueError, match="both need the same shape"):
        panoptic_quality(mask[:2], mask)
    with pytest.raises(ValueError, match="both need the same shape"):
        panoptic_quality_per_class(mask, mask, mask[:2], mask[:2], 1)
    with pytest.raises(ValueError, match="prediction must hold whole numbers"):
        panoptic_quality(mask * 1.0, mask)
    with pytest.raises(ValueError, match="holds the label 2; allowed are 0"):
        panoptic_quality_per_class(mask, mask, mask * 2, mask, 1)
    with pytest.raises(ValueError, match="no panoptic quality to average"):
        mean_pq([])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64])
@pytest.mark.parametrize("factor", [1, 10**9])
def test_the_numbers_of_instances_do_not_matter(dtype, factor):
    """Numbers above the count of pixels, and an image without background."""
    if factor > np.iinfo(dtype).max:
        factor = 60
    prediction, truth = np.array([[1, 1, 2, 2], [0, 3, 2, 2]]), np.array([[2, 2, 1, 1], [2, 4, 1, 1]])
    expected = panoptic_quality(prediction, truth)
    assert (expected.tp, expected.fp, expected.fn, expected.sum_iou) == (3, 0, 0, 1 + 2 / 3 + 1)
    predicted, true = prediction.astype(dtype) * dtype(factor), truth.astype(dtype) * dtype(factor)
    assert panoptic_quality(predicted, true) == expected
    assert panoptic_quality(predicted, true - dtype(factor - 1)) == expected  # the smallest is 1
    assert panoptic_quality(prediction > 2, truth > 3) == PanopticQuality(1, 0, 0, 1.0)


def test_memory_grows_with_the_pixels_not_with_the_square_of_the_instances():
    """2500 instances in 100 x 100 pixels; a table of all their pairs takes 50 MB."""
    truth = np.zeros((100, 100), int)
    truth[::2, ::2] = np.arange(1, 2501).reshape(50, 50)
    prediction = np.roll(truth, 1, 0) + truth  # every instance is one pixel longer, so that its IoU is one half
    prediction[3] = 0  # and those of one row match
    tracemalloc.start()
    found = panoptic_quality(prediction, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == PanopticQuality(tp=50, fp=2450, fn=2450, sum_iou=50.0)
    assert peak < 20 * truth.nbytes
