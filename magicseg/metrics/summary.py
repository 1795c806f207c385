"""From the scores of all cases to the numbers of a table."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from magicseg.metrics.checks import positive_spacing
from magicseg.metrics.panoptic import pooled
from magicseg.metrics.protocol import Protocol
from magicseg.metrics.scores import ClassScore, score_case

METRICS: dict[str, Callable[[Sequence[float]], float]] = {
    "dice": min,
    "iou": min,
    "accuracy": min,
    "sensitivity": min,
    "specificity": min,
    "hd95": max,
    "asd": max,
}
"""The metrics of a ClassScore, and which one of several values is the worst."""


def summarise(scores_by_case: Mapping[str, Sequence[ClassScore]], protocol: Protocol) -> dict[str, Any]:
    """Return the table's numbers: per class over all cases, then the mean over classes.

    Numbers are fractions (0 to 1) or distances in ``unit``. The order of the cases does not matter, to the last bit.

    Returns:
        ``{"protocol": its fields, "unit": "voxel" or "mm", "classes": {name: {metric: {"mean", "std", "median",
        "worst", "n"}}}, "mean": {metric: mean over the classes with n > 0}, "counts": {"cases", "absent", "missed",
        "hallucinated"}}``, ready for JSON. ``std`` is the sample's (n - 1), None below two cases; all are None for
        n = 0. ``counts`` are pairs of class and case, but for ``cases``. A protocol that finds instances adds the
        metric "pq"; where it pools, the mean is the PQ of all images together.

    Raises:
        ValueError: there is no case, cases differ in classes or in the unit of distances, or a score is nan that the
            protocol's rules do not skip.
    """
    if not scores_by_case:
        raise ValueError("There is no case to summarise.")
    names, unit = _common(scores_by_case)
    scores = [score for case in scores_by_case.values() for score in case]
    classes = {name: _class_summary([score for score in scores if score.name == name], protocol) for name in names}
    states = [score.state for score in scores]
    return {
        "protocol": asdict(protocol),
        "unit": unit,
        "classes": classes,
        "mean": {metric: _mean_over_classes(classes, metric) for metric in classes[names[0]]},
        "counts": {"cases": len(scores_by_case)}
        | {state: states.count(state) for state in ("absent", "missed", "hallucinated")},
    }


class SegmentationScores:
    """Collects the scores of a data set case by case; a protocol that scores slices cuts volumes by itself.

    >>> protocol = Protocol("example", "image", "voxel", "pooled", "assd", "skip", "worst", "worst")
    >>> scores = SegmentationScores(["lesion"], protocol)
    >>> scores.update([[0, 1, 1, 1]], [[0, 0, 1, 1]], case="first")
    >>> scores.compute()["mean"]["dice"]
    0.8
    """

    def __init__(self, classes: Sequence[str], protocol: Protocol) -> None:
        self.classes = list(classes)
        self.protocol = protocol
        self.cases: dict[str, list[ClassScore]] = {}

    def update(
        self,
        prediction: ArrayLike,
        truth: ArrayLike,
        spacing: Sequence[float] | None = None,
        case: str | None = None,
        instances: ArrayLike | None = None,
    ) -> None:
        """Score one case; the slices of a volume are named CASE/0, CASE/1, ...

        Args:
            prediction, truth, spacing, instances: as in score_case.
            case: the case's name; None takes the next number that no case has.

        Raises:
            ValueError: the case was scored before, or as score_case.
        """
        case = self._free_number() if case is None else case
        prediction, truth = np.asarray(prediction), np.asarray(truth)
        given = None if instances is None else np.asarray(instances)
        shapes = {prediction.shape, truth.shape, truth.shape if given is None else given.shape}
        if self.protocol.unit == "slice" and truth.ndim == 3 and len(shapes) == 1:
            in_plane = None if spacing is None else positive_spacing(spacing, 3)[1:]
            slices = zip(prediction, truth, [None] * len(truth) if given is None else given, strict=True)
            for index, (one, other, each) in enumerate(slices):
                self._add(f"{case}/{index}", score_case(one, other, self.classes, self.protocol, in_plane, each))
        else:
            self._add(case, score_case(prediction, truth, self.classes, self.protocol, spacing, given))

    def compute(self) -> dict[str, Any]:
        """Return the summary of all cases so far; see summarise."""
        return summarise(self.cases, self.protocol)

    def reset(self) -> None:
        """Forget all cases."""
        self.cases = {}

    def _free_number(self) -> str:
        """Return the first number from the count of cases on that neither a case nor a volume's first slice has."""
        numbers = map(str, itertools.count(len(self.cases)))
        return next(number for number in numbers if not {number, f"{number}/0"} & self.cases.keys())

    def _add(self, case: str, scores: list[ClassScore]) -> None:
        if case in self.cases:
            raise ValueError(f"The case {case!r} was scored before; every case counts once.")
        self.cases[case] = scores


def _common(scores_by_case: Mapping[str, Sequence[ClassScore]]) -> tuple[list[str], str]:
    """Return the class names and the unit that all cases share."""
    first, *_ = scores_by_case
    names, unit = [score.name for score in scores_by_case[first]], scores_by_case[first][0].unit
    for case, scores in scores_by_case.items():
        if [score.name for score in scores] != names:
            raise ValueError(
                f"The case {case!r} has the classes {[score.name for score in scores]}, {first!r} has {names}."
            )
        if any(score.unit != unit for score in scores):
            raise ValueError(
                f"The case {case!r} has its distances not in {unit} as {first!r}; give all cases a spacing, or none."
            )
    return names, unit


def _class_summary(scores: Sequence[ClassScore], protocol: Protocol) -> dict[str, dict[str, float | int | None]]:
    counted = [score for score in scores if getattr(protocol, score.state, "") != "skip"]
    summary = {metric: _statistics([getattr(score, metric) for score in counted], metric) for metric in METRICS}
    return summary if protocol.instances == "none" else summary | {"pq": _panoptic(scores, protocol)}


def _panoptic(scores: Sequence[ClassScore], protocol: Protocol) -> dict[str, float | int | None]:
    images = [score.panoptic for score in scores if score.panoptic is not None]
    summary = _statistics([image.pq for image in images], "pq")
    return summary | {"mean": pooled(images).pq} if images and protocol.panoptic == "pooled" else summary


def _statistics(values: Sequence[float], metric: str) -> dict[str, float | int | None]:
    if any(math.isnan(value) for value in values):
        raise ValueError(f"A score of {metric} is nan, and the protocol does not skip it; no mean can be taken.")
    n = len(values)
    if n == 0:
        return {"mean": None, "std": None, "median": None, "worst": None, "n": 0}
    mean = math.fsum(values) / n
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    worst = METRICS.get(metric, min)(values)
    return {"mean": mean, "std": std, "median": statistics.median(values), "worst": worst, "n": n}


def _mean_over_classes(classes: Mapping[str, Mapping[str, Any]], metric: str) -> float | None:
    means = [summary[metric]["mean"] for summary in classes.values() if summary[metric]["n"]]
    return math.fsum(means) / len(means) if means else None
