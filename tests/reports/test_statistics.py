"""Paired comparisons against enumeration, SciPy and cases with exact answers."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, wilcoxon

from magicseg.reports.statistics import bootstrap_interval, compare, holm, rank_difference, signed_rank_p


def enumerated_p(differences):
    """Two-sided signed-rank p-value over all 2^n assignments of signs."""
    values = np.array([value for value in differences if value != 0], dtype=float)
    ranks = rankdata(abs(values))
    observed = ranks[values > 0].sum()
    sums = np.array([np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))])
    return min(1.0, 2 * min((sums >= observed - 1e-9).mean(), (sums <= observed + 1e-9).mean()))


# signed ranks


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3, 4, 5, 6], 2 / 64),
        ([-1, -2, -3, -4, -5], 2 / 32),
        ([1, -2, 3], 6 / 8),  # positive ranks 1 + 3 = 4: sums 4, 5, 6 have 1 + 1 + 1 of 8
        ([1, -1], 1.0),
        ([0, 0, 0], 1.0),
        ([0, 2, 0, 3, 5], 2 / 8),  # zeros are dropped
        ([0] * 35 + [1, 2, 3, 4, 5], 2 / 32),  # however many
        ([0] * 39 + [1], 1.0),
    ],
)
def test_signed_rank_p_by_hand(differences, p):
    assert signed_rank_p(differences) == pytest.approx(p, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-9, 9).filter(bool), min_size=1, max_size=9, unique_by=abs))
def test_signed_rank_p_equals_enumeration(differences):
    assert signed_rank_p(differences) == pytest.approx(enumerated_p(differences), abs=1e-12)


@pytest.mark.parametrize(
    ("differences", "ranks"),
    [([1, 2, -3], 0), ([0.1, 0.2, 0.3, -9], 2), ([0, 0, -2, 1, 1], 0), ([0, 5, 5, 5, -1], 8), ([0, 0], 0)],
)
def test_the_direction_of_the_ranks_by_hand(differences, ranks):
    assert rank_difference(differences) == ranks


@pytest.mark.parametrize(
    ("differences", "agrees"), [([0.01, 0.02], True), ([1, 1, 1, -3], False), ([1, -1], False), ([1, 2, 3, -9], False)]
)
def test_mean_and_ranks_agree_where_both_point_the_same_way(differences, agrees):
    assert compare(differences, [0] * len(differences), resamples=1).agrees == agrees


def test_p_value_is_scipys_on_the_means_over_seeds():
    rng = np.random.default_rng(0)
    a, b = rng.normal(90, 3, (3, 40)), rng.normal(89, 3, (2, 40))
    comparison = compare(a, b, resamples=10)
    assert comparison.p_value == pytest.approx(wilcoxon(a.mean(axis=0), b.mean(axis=0)).pvalue, rel=1e-12)
    assert comparison.difference == pytest.approx(a.mean() - b.mean(), abs=1e-8)
    assert (comparison.subjects, comparison.informative, comparison.seeds) == (40, 40, (3, 2))


def test_scores_that_differ_by_rounding_only_do_not_count():
    comparison = compare([0.1 + 0.2, 0.5], [0.3, 0.25], resamples=10)
    assert comparison.informative == 1
    assert compare([0.1 + 0.2], [0.3], resamples=10).p_value == 1.0


# bootstrap


@pytest.mark.parametrize(
    ("first", "second", "confidence", "interval"),
    [
        ([5.0], [3.0], 0.95, (2.0, 2.0)),
        ([0.0, 4.0], [0.0, 0.0], 0.95, (0.0, 4.0)),  # subjects: 0 and 4 with 1/4 each, 2 with 1/2
        ([0.0, 4.0], [0.0, 0.0], 0.4, (2.0, 2.0)),
        ([[0.0], [4.0]], [[1.0]], 0.95, (-1.0, 3.0)),  # seeds of the first model alone
        ([[0.0], [4.0]], [[1.0]], 0.4, (1.0, 1.0)),
        ([[1.0]], [[0.0], [4.0]], 0.95, (-3.0, 1.0)),
    ],
)
def test_interval_by_hand(first, second, confidence, interval):
    assert bootstrap_interval(first, second, confidence=confidence) == interval


def test_subjects_are_paired():
    scores = np.random.default_rng(1).uniform(0, 100, 30)
    assert bootstrap_interval(scores + 1, scores) == pytest.approx((1, 1), abs=1e-9)


def test_interval_has_the_analytic_width():
    rng = np.random.default_rng(2)
    a, b = rng.normal(1, 1, 100), np.zeros(100)
    half = 1.959964 * a.std() / np.sqrt(100)  # the bootstrap's own standard error has the divisor n
    low, high = bootstrap_interval(a, b, resamples=20_000)
    assert (low, high) == pytest.approx((a.mean() - half, a.mean() + half), abs=0.05 * half)


def test_interval_equals_a_plain_loop_over_subjects_and_seeds():
    rng = np.random.default_rng(3)
    a = rng.normal(90, 3, 25) + rng.normal(0, 1, (3, 1)) + rng.normal(0, 1, (3, 25))
    b = rng.normal(88, 3, 25) + rng.normal(0, 1, (4, 1)) + rng.normal(0, 1, (4, 25))
    samples = []
    for _ in range(8000):
        subjects = rng.integers(25, size=25)
        drawn_a, drawn_b = a[rng.integers(3, size=3)], b[rng.integers(4, size=4)]
        samples.append(drawn_a[:, subjects].mean() - drawn_b[:, subjects].mean())
    expected = np.quantile(samples, [0.025, 0.975])
    assert bootstrap_interval(a, b) == pytest.approx(expected, abs=0.06 * np.ptp(expected))


def test_the_key_alone_decides_the_samples():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 3, 20))
    one, again, other = (bootstrap_interval(a, b, resamples=200, key=("dice", key)) for key in (1, 1, 2))
    assert one == again
    assert one != other


# Holm


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5], [0.5]),
        ([0.4, 0.6], [0.8, 0.8]),
        ([0.9, 0.9, 0.9], [1.0, 1.0, 1.0]),
        ([], []),
    ],
)
def test_holm_by_hand(p, adjusted):
    assert holm(p) == pytest.approx(adjusted, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(arrays(float, st.integers(1, 8), elements=st.floats(0, 1)), st.randoms())
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p, random):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, p * len(p))).all()
    assert adjusted.min() == min(1, p.min() * len(p))
    order = random.sample(range(len(p)), len(p))
    assert holm(p[order]).tolist() == adjusted[order].tolist()


@pytest.mark.parametrize("p", [[0.1, 1.2], [-0.1], [float("nan")], [[0.1], [0.2]]])
def test_holm_refuses_what_is_no_list_of_p_values(p):
    with pytest.raises(ValueError, match="Expected a list of p-values from 0 to 1"):
        holm(p)


# refusals


@pytest.mark.parametrize(
    ("first", "second", "options", "text"),
    [
        ([1, 2], [1, 2, 3], {}, "needs the same subjects: first has 2, second 3"),
        (
            [1, float("nan")],
            [1, 2],
            {},
            "first holds scores that are not finite; leave such a subject out of both models",
        ),
        ([1, 2], [1, float("inf")], {}, "second holds scores that are not finite"),
        ([], [], {}, r"first has shape \(0,\); expected \[seeds, subjects\]"),
        ([[[1]]], [1], {}, r"first has shape \(1, 1, 1\)"),
        ([1], [2], {"confidence": 0}, "confidence is 0 and"),
        ([1], [2], {"confidence": 1}, "confidence is 1 and"),
        ([1], [2], {"confidence": 95}, "confidence is 95 and resamples 10000; allowed are 0 < confidence < 1"),
        ([1], [2], {"resamples": 0}, "resamples 0; allowed"),
    ],
)
def test_bad_input_is_refused(first, second, options, text):
    with pytest.raises(ValueError, match=text):
        compare(first, second, **options)
    with pytest.raises(ValueError, match=text):
        bootstrap_interval(first, second, **options)
