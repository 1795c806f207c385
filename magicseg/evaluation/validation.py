"""The score that chooses a checkpoint: Dice on the validation cases at the network's own size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from magicseg.evaluation.predict import predict_slices


class Validation:
    """Mean Dice per case and class at network size; classes that are empty in truth and prediction are left out.

    Args:
        cases: name -> (images [D, 1, H, W], labels [D, H, W]), both at network size.
        classes: names of the labels 1, 2, ...
    """

    def __init__(self, cases: Mapping[str, tuple[Tensor, Tensor]], classes: Sequence[str]) -> None:
        self.cases = cases
        self.classes = classes

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return ``{"dice": mean over classes, "dice/<class>": mean over cases}``, as fractions."""
        rows = [
            case_dice(predict_slices(model, images), labels, len(self.classes))
            for images, labels in self.cases.values()
        ]
        scores = {
            f"dice/{name}": _mean(column) for name, column in zip(self.classes, zip(*rows, strict=True), strict=True)
        }
        return {"dice": _mean(list(scores.values())), **scores}


def case_dice(prediction: Tensor, label: Tensor, classes: int) -> list[float]:
    """Return Dice of the labels 1..classes over a whole case; NaN where both label maps lack the class."""
    scores = []
    for index in range(1, classes + 1):
        predicted, true = prediction == index, label == index
        size = int(predicted.sum() + true.sum())
        scores.append(2 * int(torch.logical_and(predicted, true).sum()) / size if size else math.nan)
    return scores


def _mean(values: Sequence[float]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return math.fsum(present) / len(present) if present else 0.0
