"""The scores that choose a checkpoint: Dice and loss on the validation cases at the network's own size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from magicseg.evaluation.predict import evaluating, labels_of
from magicseg.metrics import count, dice

Loss = Callable[[Tensor, Tensor], Tensor]


class Validation:
    """Mean Dice per case and class at network size; classes that are empty in truth and prediction are left out.

    Args:
        cases: name -> (images [D, C, H, W], labels [D, H, W]), both at network size; there may be none.
        classes: names of the labels 1, 2, ...
        losses: name -> what maps (logits [B, C, H, W], labels [B, H, W]) to a scalar; scored by its mean over slices.
        batch_size: slices at a time.
    """

    def __init__(
        self,
        cases: Mapping[str, tuple[Tensor, Tensor]],
        classes: Sequence[str],
        losses: Mapping[str, Loss] | None = None,
        batch_size: int = 16,
    ) -> None:
        self.classes, self.losses, self.batch_size = list(classes), dict(losses or {}), batch_size
        self.depths = [len(images) for images, _ in cases.values()]
        if cases:
            self.images, self.labels = (torch.cat(parts) for parts in zip(*cases.values(), strict=True))

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return {"dice": mean over classes, "dice/<class>": mean over cases, and the losses}; {} without cases."""
        if not self.depths:
            return {}
        predictions, losses = self._predict(model)
        pairs = zip(predictions.split(self.depths), self.labels.split(self.depths), strict=True)
        rows = [case_dice(prediction, label, len(self.classes)) for prediction, label in pairs]
        columns = zip(self.classes, zip(*rows, strict=True), strict=True)
        scores = {f"dice/{name}": _mean(column) for name, column in columns}
        return {"dice": _mean(list(scores.values())), **scores, **losses}

    def _predict(self, model: nn.Module) -> tuple[Tensor, dict[str, float]]:
        device = next(model.parameters()).device
        predictions: list[Tensor] = []
        losses: dict[str, list[float]] = {name: [] for name in self.losses}
        with evaluating(model):
            batches = zip(self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True)
            for images, labels in batches:
                logits = model(images.to(device))
                predictions.append(labels_of(logits).cpu())
                for name, loss in self.losses.items():
                    losses[name].append(len(images) * loss(logits, labels.to(device)).item())
        return torch.cat(predictions), {name: math.fsum(each) / len(self.images) for name, each in losses.items()}


def case_dice(prediction: Tensor, label: Tensor, classes: int) -> list[float]:
    """Return Dice of the labels 1..classes over a whole case; NaN where both label maps lack the class."""
    return [dice(counts) for counts in count(prediction.numpy(), label.numpy(), classes)]


def _mean(values: Sequence[float]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return math.fsum(present) / len(present) if present else 0.0
