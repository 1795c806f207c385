"""A convolution and its batch norm: what the networks' plain parts are made of."""

from __future__ import annotations

from torch import nn

from magicseg.models.model import Conv


def conv_norm(in_channels: int, out_channels: int, kernel_size: int, bias: bool = True) -> nn.Sequential:
    """Convolution that keeps the size, batch norm: [B, in, H, W] -> [B, out, H, W]."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def conv_norm_relu(in_channels: int, out_channels: int, conv: Conv = nn.Conv2d) -> nn.Sequential:
    """3x3 convolution without bias, batch norm, ReLU: [B, in, H, W] -> [B, out, H, W]."""
    return nn.Sequential(
        conv(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
