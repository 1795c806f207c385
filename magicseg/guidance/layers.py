"""Two small pieces that the guidance modules share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of each position of a map `[B, C, H, W]`, eps 1e-6."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, contiguous as the convolutions and filters that follow like it."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


def resize_like(x: Tensor, like: Tensor) -> Tensor:
    """Resize the map x bilinearly (align_corners off) to the height and width of `like`."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
