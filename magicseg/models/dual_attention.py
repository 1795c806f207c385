"""Dual attention (Fu et al., CVPR 2019): attention between positions and between channels, side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magicseg.models.layers import conv_norm_relu


class DualAttention(nn.Module):
    """Map [B, in, H, W] to [B, out, H, W]: both attentions on a quarter of the input's channels, then their sum.

    Source: DANet, as CTO uses it, for features instead of classes.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner = in_channels // 4
        self.positions = _branch(in_channels, inner, PositionAttention(inner))
        self.channels = _branch(in_channels, inner, ChannelAttention())
        self.out = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(inner, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended features."""
        return self.out(self.positions(x) + self.channels(x))


class PositionAttention(nn.Module):
    """x + alpha * attention between the positions of x [B, C, H, W]; alpha starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv2d(channels, max(1, channels // 8), 1) for _ in range(2))
        self.value = nn.Conv2d(channels, channels, 1)
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of x."""
        q, k, v = (projection(x).flatten(2) for projection in (self.query, self.key, self.value))
        attention = (q.mT @ k).softmax(-1)  # [B, positions, positions]
        return x + self.alpha * (v @ attention.mT).view_as(x)


class ChannelAttention(nn.Module):
    """x + beta * attention between the channels of x [B, C, H, W], strongest where they agree least; beta starts at 0.

    The reference takes the softmax of the row's maximum less the affinity, so that like channels count least.
    """

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of x."""
        flat = x.flatten(2)
        attention = (-(flat @ flat.mT)).softmax(-1)  # [B, C, C]; softmax does not see the row's maximum
        return x + self.beta * (attention @ flat).view_as(x)


def _branch(in_channels: int, inner: int, attention: nn.Module) -> nn.Sequential:
    return nn.Sequential(*conv_norm_relu(in_channels, inner), attention, *conv_norm_relu(inner, inner))
