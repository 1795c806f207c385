"""CTO's lightweight vision transformer: attention between patches of four sizes, a quarter of the channels each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LightweightViT(nn.Module):
    """Map features [B, C, H, W] to the same shape; H and W must be multiples of every patch size.

    x + attention(x), then x + FFN(x). There are no position embeddings, so any number of patches is legal.

    Args:
        channels: C.
        patch_sizes: in pixels of the feature map; each serves an equal share of the channels.

    Source: CTO (Lin et al., IPMI 2023), CTO_net.py of xiaofang007/CTO.
    """

    def __init__(self, channels: int, patch_sizes: Sequence[int] = (32, 16, 8, 4)) -> None:
        super().__init__()
        self.attention = PatchAttention(channels, patch_sizes)
        self.ffn = nn.Sequential(*_conv_norm_act(channels, dilation=2), *_conv_norm_act(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of x."""
        x = x + self.attention(x)
        return x + self.ffn(x)


class PatchAttention(nn.Module):
    """Attention with one head between whole patches, each flattened to one token of share * p * p values."""

    def __init__(self, channels: int, patch_sizes: Sequence[int]) -> None:
        super().__init__()
        if not patch_sizes or min(patch_sizes) < 1:
            raise ValueError(f"patch_sizes must be one or more whole numbers of at least 1, not {list(patch_sizes)}.")
        if channels % len(patch_sizes):
            raise ValueError(f"The {channels} channels must be divisible by the {len(patch_sizes)} patch sizes.")
        self.patch_sizes = tuple(patch_sizes)
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.out = nn.Sequential(*_conv_norm_act(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, C, H, W] to the same shape."""
        shares = (t.chunk(len(self.patch_sizes), dim=1) for t in (self.query(x), self.key(x), self.value(x)))
        mixed = [_attend(q, k, v, p) for q, k, v, p in zip(*shares, self.patch_sizes, strict=True)]
        return self.out(torch.cat(mixed, dim=1))


def _attend(query: Tensor, key: Tensor, value: Tensor, p: int) -> Tensor:
    """Return attention between the p x p patches of maps [B, share, H, W], of their shape."""
    q, k, v = (_tokens(t, p) for t in (query, key, value))
    attention = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    return _untokens(attention @ v, value.shape, p)


def _tokens(x: Tensor, p: int) -> Tensor:
    """Cut x [B, C, H, W] into patches [B, H/p * W/p, C * p * p]."""
    return x.unflatten(3, (-1, p)).unflatten(2, (-1, p)).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def _untokens(tokens: Tensor, shape: torch.Size, p: int) -> Tensor:
    _, C, H, W = shape
    return tokens.unflatten(1, (H // p, W // p)).unflatten(3, (C, p, p)).permute(0, 3, 1, 4, 2, 5).reshape(shape)


def _conv_norm_act(channels: int, dilation: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
    return [conv, nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)]
