"""What MAGIC's attention reads from a feature map: its mean, its mean maximum and an attention-weighted mean."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attention_pool(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return sum_j softmax_j(weight * x_j + bias) x_j `[B, C]` over the positions j of x `[B, C, H, W]`.

    `weight` `[1, C, 1, 1]`, `bias` `[1]`. Source: MAGIC eq. 7, L_k and the sum over positions.
    """
    attention = functional.conv2d(x, weight, bias).flatten(1).softmax(1)
    return torch.bmm(x.flatten(2), attention.unsqueeze(2).to(x.dtype)).squeeze(2)


def mean_of_channel_maximum(x: Tensor) -> Tensor:
    """Return the mean over positions of the maximum over channels `[B]` of x `[B, C, H, W]` (MAGIC eq. 4)."""
    return x.amax(1).mean((1, 2))
