"""What training minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional


class CrossEntropyDiceLoss(nn.Module):
    """Weighted sum of cross entropy and Dice, as TransUNet trains Synapse and ACDC (0.5 and 0.5).

    Dice: softmax probabilities p, one-hot truth t; per class over the WHOLE batch
    ``1 - (2 sum(p t) + 1e-5) / (sum(p^2) + sum(t^2) + 1e-5)``, then the mean over all classes, background included.
    """

    def __init__(self, cross_entropy: float = 0.5, dice: float = 0.5) -> None:
        super().__init__()
        self.weights = (cross_entropy, dice)
        self.dice = DiceLoss(
            softmax=True, to_onehot_y=True, squared_pred=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5
        )

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Map logits [B, classes, H, W] and labels [B, H, W] (int64) to a scalar."""
        cross_entropy, dice = self.weights
        return cross_entropy * functional.cross_entropy(logits, label) + dice * self.dice(logits, label[:, None])


class Supervision(nn.Module):
    """A segmentation loss on every output that a network returns in training, and the Dice loss of its edge map.

    Dice is taken on the edge map's probability. CTO's code takes a softmax over its one channel, which is 1 everywhere,
    so that its edge loss has no gradient.

    Args:
        segmentation: maps (logits [B, classes, H, W], labels [B, H, W]) to a scalar.
        weights: of the outputs, the prediction first.
        edge_weight: of the edge map's loss (SGDC eq. 5: 3).
    """

    def __init__(self, segmentation: nn.Module, weights: Sequence[float] = (1.0,), edge_weight: float = 3.0) -> None:
        super().__init__()
        self.segmentation = segmentation
        self.weights = tuple(weights)
        self.edge_weight = edge_weight
        self.dice = DiceLoss(sigmoid=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, output: Tensor | tuple[tuple[Tensor, ...], Tensor | None], label: Tensor) -> Tensor:
        """Map what a network returns in training, and labels [B, H, W] (int64), to a scalar.

        Raises:
            ValueError: there are more or fewer outputs than weights.
        """
        logits, edge = ((output,), None) if isinstance(output, Tensor) else output
        if len(logits) != len(self.weights):
            raise ValueError(
                f"The network has {len(logits)} supervised outputs, but there are weights for {self.weights}."
            )
        loss = sum(w * self.segmentation(each, label) for w, each in zip(self.weights, logits, strict=True))
        if edge is None:
            return loss
        edge = functional.interpolate(edge, label.shape[1:], mode="bilinear", align_corners=False)
        return loss + self.edge_weight * self.dice(edge, outer_edge(label, max(2, logits[0].shape[1])))


def outer_edge(label: Tensor, num_classes: int) -> Tensor:
    """Return the 2-pixel ring around each class of labels [B, H, W], background excepted, as [B, 1, H, W] of 0 and 1.

    Source: CTO's code, each label dilated by a disk of radius 2, minus the label.
    """
    rows = torch.arange(-2, 3, device=label.device)
    disk = (rows[:, None] ** 2 + rows**2 <= 4).float()[None, None]
    inside = functional.one_hot(label, num_classes)[..., 1:].permute(0, 3, 1, 2).flatten(0, 1)[:, None].float()
    ring = (functional.conv2d(inside, disk, padding=2) > 0) & (inside == 0)
    return ring.unflatten(0, (len(label), num_classes - 1)).any(dim=1).float()
