"""CTO (Lin et al., IPMI 2023): Res2Net, a transformer branch, and an edge map that attends to every feature.

The edge attention stands where guidance stands in every other network, so ``conv=sgdc`` replaces it: ``backbone=cto
conv=sgdc`` is SGD-Net, as ``backbone=res2net conv=sgdc`` is. The published code carries modules that it never uses;
there are none here, and its 62,216,794 trainable parameters are 59,773,848.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from magicseg.guidance.layers import resize_like
from magicseg.models.boundary_decoder import reduce
from magicseg.models.layers import conv_norm_relu
from magicseg.models.res2net import Res2Net
from magicseg.ops.sobel import sobel_x, sobel_y


class EdgeAttention(nn.Module):
    """CTO's edge map: made from the shallowest and the deepest feature, it attends to all but the deepest.

    Args:
        channels: of the features, shallow to deep. Inside, maps have as many as the shallowest, or a quarter of that.

    Source: the "EAM" and the Sobel gates of CTO_net.py in xiaofang007/CTO.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        width, *_, deep = channels
        self.shallow_gate, self.deep_gate = SobelGate(), SobelGate()
        self.shallow_proj, self.deep_proj = reduce(width, width // 4), reduce(deep, width)
        self.fuse = nn.Sequential(
            *conv_norm_relu(width // 4 + width, width), *conv_norm_relu(width, width), nn.Conv2d(width, 1, 1)
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Map features `[B, C_i, H_i, W_i]` to features of the same shapes and edge logits `[B, 1, H_0, W_0]`."""
        *pyramid, deep = features
        shallow_edges = self.shallow_proj(self.shallow_gate(pyramid[0]))
        deep_edges = resize_like(self.deep_proj(self.deep_gate(deep)), shallow_edges)
        edge = self.fuse(torch.cat([deep_edges, shallow_edges], dim=1))
        attention = edge.sigmoid()
        return [*(x * resize_like(attention, x) for x in pyramid), deep], edge


class SobelGate(nn.Module):
    """x * sigmoid(|G|), with G the Sobel gradient of the sum of all channels, each component batch-normalised.

    Where |G| = 0 its derivative is taken for 0; the published square root gives NaN there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm_x, self.norm_y = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x `[B, C, H, W]` to the same shape."""
        total = x.sum(1, keepdim=True)
        gradient = torch.cat([self.norm_x(sobel_x(total)), self.norm_y(sobel_y(total))], dim=1)
        return x * torch.linalg.vector_norm(gradient, dim=1, keepdim=True).sigmoid()


class CTO(Res2Net):
    """Res2Net with CTO's edge attention; arguments and errors are those of `Res2Net`.

    In training it returns three logits, the prediction first, and the logits of the edge map.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.guidance = EdgeAttention(self.channels)
