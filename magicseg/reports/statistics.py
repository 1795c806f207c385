"""Paired comparison of two models on the same subjects: whether their difference is more than chance.

The subject is the unit of the test, because seeds repeat the same subjects, and several cases of one (two frames of a
patient, say) resemble each other: neither is new evidence about other patients. A subject's score is the mean over its
cases. Seeds are averaged for the test and resampled, together with the subjects, for the confidence interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from magicseg.seeding import Key, generator

SIGNIFICANCE = 0.05
FEW_SEEDS = 5
"""Resampling n seeds understates their variance by (n - 1) / n: by a third for three seeds."""
CHUNK = 1000
"""Bootstrap samples drawn at a time: thousands of images would fill the memory otherwise."""


@dataclass(frozen=True)
class Comparison:
    """Mean difference of two models (first minus second) in the unit of their scores, its interval and its p-value.

    ``informative`` counts the subjects whose scores differ: only these count in the signed-rank test. Its direction is
    the sign of ``rank_difference``, which need not be that of the mean.
    """

    difference: float
    low: float
    high: float
    confidence: float
    p_value: float
    subjects: int
    informative: int
    seeds: tuple[int, int]
    rank_difference: float

    @property
    def agrees(self) -> bool:
        """Whether the mean difference and the ranks point the same way."""
        return self.difference * self.rank_difference > 0

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p-value that so many differing subjects can reach: 2 / 2^informative."""
        return min(1.0, 2.0 ** (1 - self.informative))


def compare(
    first: ArrayLike,
    second: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    key: tuple[Key, ...] = (),
) -> Comparison:
    """Compare two models by their scores on the same subjects.

    Args:
        first: scores of one model, [seeds, subjects] or [subjects], in the same order as in ``second``.
        second: scores of the other model; its number of seeds may differ.
        confidence: coverage of the interval, between 0 and 1.
        resamples: number of bootstrap samples.
        key: what the comparison is called, e.g. ("acdc", "RV", "dice"); bootstrap samples derive from it.

    Raises:
        ValueError: shapes do not fit, a score is not finite, or an option is out of range.
    """
    a, b = _paired(first, second)
    differences = np.round(a.mean(axis=0) - b.mean(axis=0), 9)  # else equal scores differ by rounding, and ties break
    low, high = bootstrap_interval(a, b, confidence=confidence, resamples=resamples, key=key)
    return Comparison(
        difference=float(differences.mean()),
        low=low,
        high=high,
        confidence=confidence,
        p_value=signed_rank_p(differences),
        subjects=a.shape[1],
        informative=int(np.count_nonzero(differences)),
        seeds=(len(a), len(b)),
        rank_difference=rank_difference(differences),
    )


def signed_rank_p(differences: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; 1 where no subject differs.

    Subjects without a difference are dropped (Wilcoxon 1945), here, as SciPy takes a normal distribution where it
    drops them: its p can then be smaller than any that so few subjects can reach. Without them it takes the exact one
    if it can.

    Args:
        differences: paired differences, [subjects].
    """
    from scipy.stats import wilcoxon  # slow to import, and most tables need none

    values = np.asarray(differences, dtype=float)
    differing = values[values != 0]
    return float(wilcoxon(differing).pvalue) if differing.size else 1.0


def rank_difference(differences: ArrayLike) -> float:
    """Return the ranks of the positive differences minus those of the negative ones: which way the test points.

    Args:
        differences: paired differences, [subjects].
    """
    from scipy.stats import rankdata  # as above

    values = np.asarray(differences, dtype=float)
    differing = values[values != 0]
    return float(np.sign(differing) @ rankdata(np.abs(differing)))


def bootstrap_interval(
    first: ArrayLike,
    second: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    key: tuple[Key, ...] = (),
) -> tuple[float, float]:
    """Return the percentile interval of the mean difference under resampling of subjects and of each model's seeds.

    A sample draws subjects jointly for both models (they are paired) and seeds for each on its own (they are not).

    Args:
        first: scores, [seeds, subjects] or [subjects].
        second: scores, [seeds, subjects] or [subjects], same subjects.
        confidence: coverage, between 0 and 1.
        resamples: number of samples.
        key: derives the random numbers; the same key gives the same interval.

    Raises:
        ValueError: shapes do not fit, a score is not finite, or an option is out of range.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(
            f"confidence is {confidence} and resamples {resamples}; allowed are 0 < confidence < 1 and resamples >= 1."
        )
    a, b = _paired(first, second)
    rng = generator("bootstrap", *key)
    sizes = [min(CHUNK, resamples - done) for done in range(0, resamples, CHUNK)]
    samples = np.concatenate([_resampled(rng, a, b, size) for size in sizes])
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Return p-values adjusted for several comparisons by Holm's step-down method (1979), in the given order.

    Raises:
        ValueError: a value is not a number from 0 to 1.
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"Expected a list of p-values from 0 to 1, found {p_values!r}.")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def _paired(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = _scores(first, "first"), _scores(second, "second")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"A paired comparison needs the same subjects: first has {a.shape[1]}, second {b.shape[1]}.")
    return a, b


def _scores(values: ArrayLike, name: str) -> np.ndarray:
    scores = np.atleast_2d(np.asarray(values, dtype=float))
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"{name} has shape {np.shape(values)}; expected [seeds, subjects] or [subjects], not empty.")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"{name} holds scores that are not finite; leave such a subject out of both models and say so."
        )
    return scores


def _resampled(rng: np.random.Generator, a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """Return the mean difference in each of ``size`` bootstrap samples."""
    subjects, seeds_a, seeds_b = (_weights(rng, count, size) for count in (a.shape[1], len(a), len(b)))
    return ((seeds_a @ a - seeds_b @ b) * subjects).sum(axis=1)


def _weights(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """Return how often each of ``count`` items is drawn in each bootstrap sample, as shares, [resamples, count]."""
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count
