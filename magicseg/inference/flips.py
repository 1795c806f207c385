"""Averaging a network's predictions over mirrored views of each image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Axes that are flipped: none, left-right, upside-down, both."""


class FlipAveraged(nn.Module):
    """A network whose class probabilities are the mean over four views of each image, flipped back.

    Its outputs are the logits of those probabilities, [B, classes, H, W], or the single one of a binary task.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W] to logits."""
        mean = torch.stack([self._probabilities(x, axes) for axes in VIEWS]).mean(dim=0)
        return torch.logit(mean) if mean.shape[1] == 1 else mean.log()

    def _probabilities(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        logits = self.network(x.flip(axes)).float()
        return (logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)).flip(axes)
