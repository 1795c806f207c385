"""From measurements to scores: what each class of a case is worth under a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from magicseg.metrics.measurement import Measurement, measure_case
from magicseg.metrics.overlap import accuracy, dice, iou
from magicseg.metrics.protocol import Protocol


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class in one case: dice, iou and accuracy 0 to 1, hd95 and asd in ``unit`` ("voxel" or "mm").

    ``state`` says whether the numbers were measured ("scored") or come from the protocol's rule for an empty mask
    ("absent", "missed", "hallucinated"); under the rule "skip" all of them are nan.
    """

    name: str
    dice: float
    iou: float
    accuracy: float
    hd95: float
    asd: float
    unit: str
    predicted_voxels: int
    true_voxels: int
    state: str


def apply_protocol(measurements: Sequence[Measurement], protocol: Protocol) -> list[ClassScore]:
    """Return the scores that measurements of one case have under ``protocol``.

    Raises:
        ValueError: the protocol scores volumes (slices, images) and the case is none.
    """
    for measurement in measurements:
        _check_unit(protocol, measurement.shape)
    return [_score(protocol, measurement) for measurement in measurements]


def score_case(
    prediction: ArrayLike,
    truth: ArrayLike,
    classes: Sequence[str],
    protocol: Protocol,
    spacing: Sequence[float] | None = None,
) -> list[ClassScore]:
    """Return the scores of each class in one case; arguments and errors as in measure_case and apply_protocol."""
    return apply_protocol(measure_case(prediction, truth, classes, spacing), protocol)


def _check_unit(protocol: Protocol, shape: tuple[int, ...]) -> None:
    axes = {"volume": 3, "slice": 2, "image": 2}.get(protocol.unit, len(shape))
    if len(shape) != axes:
        raise ValueError(
            f"Protocol {protocol.name!r} scores {protocol.unit}s, arrays of {axes} axes; found shape {shape}."
        )


def _score(protocol: Protocol, measurement: Measurement) -> ClassScore:
    unit = "mm" if protocol.spacing == "mm" and measurement.spacing else "voxel"
    distances = measurement.mm if unit == "mm" else measurement.voxel
    tp, fp, fn, _ = counts = measurement.counts
    correct = accuracy(counts)
    if distances is not None:
        hd95 = distances.hd95 if protocol.hd95 == "pooled" else distances.hd95_max
        values = (dice(counts), iou(counts), correct, hd95, float(getattr(distances, protocol.asd)))
    else:
        values = _by_rule(getattr(protocol, measurement.state), correct, measurement.diagonal(unit))
    return ClassScore(measurement.name, *values, unit, tp + fp, tp + fn, measurement.state)


def _by_rule(rule: str, correct: float, diagonal: float) -> tuple[float, float, float, float, float]:
    nan = float("nan")
    return {
        "zero": (0.0, 0.0, correct, 0.0, 0.0),
        "perfect": (1.0, 1.0, correct, 0.0, 0.0),
        "worst": (0.0, 0.0, correct, diagonal, diagonal),
        "skip": (nan, nan, nan, nan, nan),
    }[rule]
