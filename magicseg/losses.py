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


class StructureLoss(nn.Module):
    """Weighted binary cross entropy plus weighted IoU: what TransFuse trains ISIC 2017 with.

    Truth t, probability p; the weight w = 1 + 5 |mean of t over 31x31 pixels - t| stresses the surroundings of the
    border; beyond the image t is 0 and counted. Per image, sums over its pixels: ``sum(w bce) / sum(w) + 1 - (I + 1) /
    (U - I + 1)`` with ``I = sum(w p t)`` and ``U = sum(w (p + t))``; then the mean over the batch.

    Source: Rayicer/TransFuse, ``structure_loss``, after F3Net (Wei et al., AAAI 2020).
    """

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Map logits [B, 1, H, W] and labels [B, H, W], 0 or 1, to a scalar; ValueError for more than one logit."""
        z, t = _binary(self, logits, label)
        # the mean by columns, then rows: a fifteenth of the work, and the same bits, as sums of 0 and 1 are exact
        columns = functional.avg_pool2d(t[:, None], (31, 1), stride=1, padding=(15, 0), divisor_override=1)
        mean = functional.avg_pool2d(columns, (1, 31), stride=1, padding=(0, 15), divisor_override=31**2)[:, 0]
        w = 1 + 5 * (mean - t).abs()
        p = z.sigmoid()
        bce = functional.binary_cross_entropy_with_logits(z, t, reduction="none")
        cross_entropy = (w * bce).sum((1, 2)) / w.sum((1, 2))
        I, U = (w * p * t).sum((1, 2)), (w * (p + t)).sum((1, 2))  # noqa: E741
        return (cross_entropy + 1 - (I + 1) / (U - I + 1)).mean()


class UCTransNetLoss(nn.Module):
    """0.5 Dice + 0.5 class-balanced binary cross entropy: what UCTransNet trains GlaS with.

    Cross entropy: half its mean over the foreground of the whole batch plus half that over the background. Dice: per
    image ``1 - (2 sum(p t) + 4e-5) / (sum(p^2) + sum(t^2) + 4e-5)``, then the mean; UCTransNet's code writes 1e-5, but
    halves p and t beforehand, which changes nothing else.

    Source: McGregorWwww/UCTransNet, ``WeightedDiceBCE``.
    """

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Map logits [B, 1, H, W] and labels [B, H, W], 0 or 1, to a scalar; ValueError for more than one logit."""
        z, t = _binary(self, logits, label)
        bce = functional.binary_cross_entropy_with_logits(z, t, reduction="none")
        foreground, background = ((side * bce).sum() / (side.sum() + 1e-12) for side in (t, 1 - t))
        p = z.sigmoid()
        overlap, size = 2 * (p * t).sum((1, 2)), (p**2 + t**2).sum((1, 2))
        dice = (1 - (overlap + 4e-5) / (size + 4e-5)).mean()
        return 0.5 * dice + 0.5 * (0.5 * foreground + 0.5 * background)


class BinaryCrossEntropyDiceLoss(nn.Module):
    """Binary cross entropy plus `dice_loss` of one logit: SGDC's segmentation loss (eq. 5), which only names both."""

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Map logits [B, 1, H, W] and labels [B, H, W], 0 or 1, to a scalar; ValueError for more than one logit."""
        z, t = _binary(self, logits, label)
        return functional.binary_cross_entropy_with_logits(z, t) + dice_loss(logits, label)


def dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Return the soft Dice loss of logits [B, classes, H, W] and labels [B, H, W], a scalar.

    Probabilities p, truth t; per class over the whole batch ``1 - (2 sum(p t) + 1e-5) / (sum(p) + sum(t) + 1e-5)``,
    then the mean over the classes without background. One logit alone stands for a binary task.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.shape[1] == 1:
        p, t = logits.sigmoid(), label[:, None].to(logits)
    else:
        p = logits.softmax(1)[:, 1:]
        t = functional.one_hot(label.long(), logits.shape[1]).movedim(-1, 1)[:, 1:].to(p)
    overlap, size = (p * t).sum((0, 2, 3)), p.sum((0, 2, 3)) + t.sum((0, 2, 3))
    return (1 - (2 * overlap + 1e-5) / (size + 1e-5)).mean()


def _binary(loss: nn.Module, logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return the one logit and the truth, [B, H, W] each, in a precision that can hold sums over all pixels."""
    if logits.shape[1] != 1:
        raise ValueError(
            f"{type(loss).__name__} is for one class and one logit [B, 1, H, W], but the network returns "
            f"{logits.shape[1]}. Give the network one logit (recipe.output=sigmoid), or take a loss for several, "
            "CrossEntropyDiceLoss."
        )
    z = logits[:, 0].to(torch.promote_types(logits.dtype, torch.float32))
    return z, label.to(z)


class Supervision(nn.Module):
    """A segmentation loss on every output that a network returns in training, and `dice_loss` of its edge map.

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
        return loss + self.edge_weight * dice_loss(edge, outer_edge(label, max(2, logits[0].shape[1]))[:, 0])


def outer_edge(label: Tensor, num_classes: int) -> Tensor:
    """Return the 2-pixel ring around each class of labels [B, H, W], background excepted, as [B, 1, H, W] of 0 and 1.

    Source: CTO's code, each label dilated by a disk of radius 2, minus the label.
    """
    rows = torch.arange(-2, 3, device=label.device)
    disk = (rows[:, None] ** 2 + rows**2 <= 4).float()[None, None]
    inside = functional.one_hot(label, num_classes)[..., 1:].permute(0, 3, 1, 2).flatten(0, 1)[:, None].float()
    ring = (functional.conv2d(inside, disk, padding=2) > 0) & (inside == 0)
    return ring.unflatten(0, (len(label), num_classes - 1)).any(dim=1).float()
