"""From measurements to scores: what each class of a case is worth under a protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from magicseg.metrics.measurement import Measurement, measure_case
from magicseg.metrics.overlap import DICE_FORMS, IOU_FORMS, accuracy, sensitivity, specificity
from magicseg.metrics.panoptic import PanopticQuality
from magicseg.metrics.protocol import Protocol
from magicseg.metrics.surface import SurfaceDistances

Values = tuple[float, float, float, float, float, float, float]
"""Dice, IoU, accuracy, sensitivity, specificity, HD95 and ASD."""


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class in one case: dice to specificity 0 to 1, hd95 and asd in ``unit`` ("voxel" or "mm").

    Accuracy, sensitivity and specificity are always as counted (0/0 is 0), unless the case is skipped. ``state`` says
    whether the numbers were measured ("scored") or come from the protocol's rule for an empty mask ("absent", "missed",
    "hallucinated"); under the rule "skip" all of them are nan. ``panoptic`` is None if the protocol finds no instances.
    """

    name: str
    dice: float
    iou: float
    accuracy: float
    sensitivity: float
    specificity: float
    hd95: float
    asd: float
    unit: str
    predicted_voxels: int
    true_voxels: int
    state: str
    panoptic: PanopticQuality | None = None


def apply_protocol(measurements: Sequence[Measurement], protocol: Protocol) -> list[ClassScore]:
    """Return the scores that measurements of one case have under ``protocol``.

    Raises:
        ValueError: the protocol scores volumes (slices, images) and the case is none.
    """
    for measurement in measurements:
        check_unit(protocol, measurement.truth.shape)
    return [_score(protocol, measurement) for measurement in measurements]


def score_case(
    prediction: ArrayLike,
    truth: ArrayLike,
    classes: Sequence[str],
    protocol: Protocol,
    spacing: Sequence[float] | None = None,
    instances: ArrayLike | None = None,
) -> list[ClassScore]:
    """Return the scores of each class in one case; arguments and errors as in measure_case and apply_protocol.

    A protocol with ``true_instances: given`` needs ``instances``; ValueError without.
    """
    return apply_protocol(measure_case(prediction, truth, classes, spacing, instances), protocol)


def check_unit(protocol: Protocol, shape: tuple[int, ...]) -> None:
    """Raise ValueError if ``protocol`` scores volumes (slices, images) and a case of this shape is none."""
    axes = {"volume": 3, "slice": 2, "image": 2}.get(protocol.unit, len(shape))
    if len(shape) != axes:
        raise ValueError(
            f"Protocol {protocol.name!r} scores {protocol.unit}s, arrays of {axes} axes; found shape {shape}."
        )


def _score(protocol: Protocol, measurement: Measurement) -> ClassScore:
    unit = "mm" if protocol.spacing == "mm" and measurement.spacing else "voxel"
    tp, fp, fn, _ = measurement.counts
    distances = measurement.mm if unit == "mm" else measurement.voxel
    values = _by_rule(protocol, measurement, unit) if distances is None else _measured(protocol, measurement, distances)
    panoptic = None
    if protocol.instances != "none":
        panoptic = measurement.panoptic(protocol.instances, given=protocol.true_instances == "given")
    return ClassScore(measurement.name, *values, unit, tp + fp, tp + fn, measurement.state, panoptic)


def _measured(protocol: Protocol, measurement: Measurement, distances: SurfaceDistances) -> Values:
    hd95 = distances.hd95 if protocol.hd95 == "pooled" else distances.hd95_max
    return *_overlap(protocol, measurement), *_rates(measurement), hd95, float(getattr(distances, protocol.asd))


def _by_rule(protocol: Protocol, measurement: Measurement, unit: str) -> Values:
    (dice, iou), rates = _overlap(protocol, measurement), _rates(measurement)
    diagonal = measurement.diagonal(unit)
    distance = 0.0 if measurement.state == "absent" else diagonal
    nan = float("nan")
    rules: dict[str, Values] = {
        "zero": (0.0, 0.0, *rates, 0.0, 0.0),
        "perfect": (1.0, 1.0, *rates, 0.0, 0.0),
        "worst": (0.0, 0.0, *rates, diagonal, diagonal),
        "formula": (dice, iou, *rates, distance, distance),
        "skip": (nan, nan, nan, nan, nan, nan, nan),
    }
    return rules[getattr(protocol, measurement.state)]


def _overlap(protocol: Protocol, measurement: Measurement) -> tuple[float, float]:
    """Return Dice and IoU; 0/0 is 0, as in scikit-learn."""
    dice, iou = DICE_FORMS[protocol.dice](measurement.counts), IOU_FORMS[protocol.iou](measurement.counts)
    return _zero_if_nan(dice), _zero_if_nan(iou)


def _rates(measurement: Measurement) -> tuple[float, float, float]:
    """Return accuracy, sensitivity and specificity."""
    counts = measurement.counts
    return accuracy(counts), _zero_if_nan(sensitivity(counts)), _zero_if_nan(specificity(counts))


def _zero_if_nan(value: float) -> float:
    return 0.0 if math.isnan(value) else value
