"""What training minimises."""

from __future__ import annotations

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
