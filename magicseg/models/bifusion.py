"""TransFuse's BiFusion module: one map out of a CNN's and a transformer's (Zhang et al., MICCAI 2021, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magicseg.models.layers import conv_norm


class BiFusion(nn.Module):
    """Fuse a CNN's map g [B, cnn, H, W] and a transformer's map t [B, transformer, H, W] into [B, cnn, H, W].

    Spatial attention on g, channel attention on t, their bilinear product b = conv(W_g g * W_t t), and a residual
    bottleneck over all three.

    Args:
        cnn: channels of g and of the result.
        transformer: channels of t.
        ratio: of the channel attention's bottleneck.
    """

    def __init__(self, cnn: int, transformer: int, ratio: int) -> None:
        super().__init__()
        self.cnn_proj = conv_norm(cnn, cnn, 1)
        self.transformer_proj = conv_norm(transformer, cnn, 1)
        self.bilinear = nn.Sequential(conv_norm(cnn, cnn, 3), nn.ReLU(inplace=True))
        self.spatial = nn.Sequential(conv_norm(2, 1, 7, bias=False), nn.Sigmoid())
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(transformer, transformer // ratio, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(transformer // ratio, transformer, 1),
            nn.Sigmoid(),
        )
        self.residual = PreActivationBottleneck(2 * cnn + transformer, cnn)
        self.drop = nn.Dropout2d(0.1)

    def forward(self, g: Tensor, t: Tensor) -> Tensor:
        """Return the fused map."""
        product = self.bilinear(self.cnn_proj(g) * self.transformer_proj(t))
        extremes = torch.cat([g.amax(1, keepdim=True), g.mean(1, keepdim=True)], dim=1)
        parts = [g * self.spatial(extremes), t * self.channel(t), product]
        return self.drop(self.residual(torch.cat(parts, dim=1)))


class PreActivationBottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolution at half the outgoing width, each after batch norm and ReLU, beside a 1x1 shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        layers = [(in_channels, half, 1), (half, half, 3), (half, out_channels, 1)]
        self.body = nn.Sequential(
            *(
                nn.Sequential(nn.BatchNorm2d(a), nn.ReLU(inplace=True), nn.Conv2d(a, b, size, padding=size // 2))
                for a, b, size in layers
            )
        )
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, out, H, W]."""
        return self.shortcut(x) + self.body(x)
