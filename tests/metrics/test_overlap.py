"""Counts and ratios against medpy, MONAI, scikit-learn, torchmetrics and counting by hand."""

import math

import numpy as np
import pytest
from golden_metrics import golden_cases, number
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from magicseg.metrics import (
    Counts,
    accuracy,
    confusion_matrix,
    count,
    dice,
    iou,
    macro_iou,
    precision,
    sensitivity,
    specificity,
)

GOLDEN = golden_cases("binary", "multiclass")


def counts_of(case):
    return zip(count(case.prediction, case.truth, case.n_classes), case.binary(), strict=True)


def same(ours, theirs, **tolerance):
    return theirs is not None and ours == pytest.approx(theirs, nan_ok=True, **tolerance)


@pytest.mark.parametrize("case", GOLDEN)
def test_counts_are_the_recorded_ones(case):
    for counts, (_, expected) in counts_of(case):
        assert counts._asdict() == expected["counts"]


@pytest.mark.parametrize("case", GOLDEN)
def test_ratios_equal_medpy_bit_for_bit(case):
    for counts, (_, expected) in counts_of(case):
        medpy = expected["medpy"]
        for ours, name in (
            (dice, "dc"),
            (sensitivity, "sensitivity"),
            (specificity, "specificity"),
            (precision, "precision"),
        ):
            assert same(ours(counts), number(medpy[name]), rel=0, abs=0), name
        if counts.tp + counts.fp + counts.fn:  # two empty masks: medpy's jc is 1, its dc nan; ours are both nan
            assert iou(counts) == number(medpy["jc"])


@pytest.mark.parametrize("case", GOLDEN)
def test_ratios_agree_with_monai_and_scikit_learn(case):
    for counts, (_, expected) in counts_of(case):
        monai, sklearn = expected["monai"], expected["scikit-learn"]
        assert same(accuracy(counts), number(monai["accuracy"]), rel=1e-6)
        assert same(sensitivity(counts), number(monai["sensitivity"]), rel=1e-6)
        assert accuracy(counts) == pytest.approx(sklearn["accuracy"], rel=1e-12)
        assert macro_iou(counts) == pytest.approx(sklearn["jaccard_macro_bg_fg"], rel=1e-12)
        if counts.tp + counts.fn:  # MONAI's ignore_empty leaves out what the truth lacks
            assert dice(counts) == pytest.approx(number(monai["dice_ignore_empty"]), rel=1e-6)
            assert iou(counts) == pytest.approx(number(monai["iou_ignore_empty"]), rel=1e-6)


@pytest.mark.parametrize("case", golden_cases("multiclass"))
def test_classes_agree_with_torchmetrics(case):
    found = count(case.prediction, case.truth, case.n_classes)
    recorded = case.expected["torchmetrics"]["iou_per_class_no_background"]
    for counts, theirs in zip(found, recorded, strict=True):
        ours = iou(counts)
        assert (math.isnan(ours) and theirs == -1) or ours == pytest.approx(theirs, rel=1e-6)


def test_squares_counted_by_hand():
    """4 x 4 squares, one shifted by a row: 12 voxels in common."""
    truth, prediction = np.zeros((10, 10), int), np.zeros((10, 10), int)
    truth[2:6, 2:6] = prediction[3:7, 2:6] = 1
    (counts,) = count(prediction, truth)
    assert counts == Counts(tp=12, fp=4, fn=4, tn=80)
    assert confusion_matrix(prediction, truth).tolist() == [[80, 4], [4, 12]]
    assert (dice(counts), iou(counts), precision(counts), sensitivity(counts)) == (0.75, 0.6, 0.75, 0.75)
    assert (specificity(counts), accuracy(counts)) == (80 / 84, 0.92)
    assert macro_iou(counts) == (12 / 20 + 80 / 88) / 2


def test_the_empty_cases():
    absent, missed, hallucinated = Counts(0, 0, 0, 9), Counts(0, 0, 4, 5), Counts(0, 4, 0, 5)
    assert all(math.isnan(ratio(absent)) for ratio in (dice, iou, sensitivity, precision))
    assert macro_iou(absent) == macro_iou(Counts(9, 0, 0, 0)) == 1  # the class that is there is perfect
    assert dice(missed) == dice(hallucinated) == iou(missed) == iou(hallucinated) == 0
    assert sensitivity(missed) == 0
    assert math.isnan(sensitivity(hallucinated))
    assert math.isnan(precision(missed))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["uint8", "int16", "int64", "uint32", ">i2"]),
    st.integers(1, 20),
    arrays.array_shapes(min_dims=1, max_dims=4, max_side=7),
    st.integers(0, 2**32 - 1),
)
def test_counts_equal_counting_class_by_class(dtype, n_classes, shape, seed):
    rng = np.random.default_rng(seed)
    prediction, truth = (rng.integers(0, n_classes + 1, shape).astype(dtype) for _ in range(2))
    matrix = confusion_matrix(prediction, truth, n_classes)
    assert matrix.sum() == truth.size
    for label, counts in enumerate(count(prediction, truth, n_classes), start=1):
        p, t = prediction == label, truth == label
        assert counts == (np.sum(p & t), np.sum(p & ~t), np.sum(~p & t), np.sum(~p & ~t))
        assert matrix[label].sum() == t.sum()
        assert matrix[:, label].sum() == p.sum()


def test_large_and_non_contiguous_arrays_are_counted_whole():
    rng = np.random.default_rng(0)
    prediction, truth = rng.integers(0, 3, (2, 90, 100, 40)).astype(np.uint8)
    matrix = confusion_matrix(prediction.transpose(2, 0, 1), truth.transpose(2, 0, 1), 2)
    assert np.array_equal(matrix, [[np.sum((truth == i) & (prediction == j)) for j in range(3)] for i in range(3)])


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"prediction has shape \(2, 3\) but truth \(3, 2\)"),
        (np.zeros(3), np.zeros(3, int), "prediction must hold whole numbers .* found an array of float64"),
        (
            np.zeros(3, int),
            np.array([0, np.nan, 1]),
            "truth must hold whole numbers .* found NaN in an array of float64",
        ),
        (np.array([0, 3]), np.array([0, 1]), r"prediction holds the label 3; allowed are 0 \(background\) to 2"),
        (np.array([0, 1]), np.array([-1, 3]), "truth holds the label -1"),
        (np.zeros((0, 3), int), np.zeros((0, 3), int), r"prediction has shape \(0, 3\); an image needs"),
        (np.int64(1), np.int64(1), r"prediction has shape \(\); an image needs"),
    ],
)
def test_wrong_input_is_named(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        count(prediction, truth, n_classes=2)
