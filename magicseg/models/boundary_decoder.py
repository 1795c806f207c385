"""CTO's decoder, which SGD-Net shares: from the deepest feature up, each step corrects the one before."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.guidance.layers import resize_like
from magicseg.models.dual_attention import DualAttention
from magicseg.models.layers import conv_norm


class BoundaryDecoder(nn.Module):
    """Features x1..x4, shallow to deep, and the transformer's view of x1 -> logits at three scales.

    Dual attention joins the transformer's features to x4; every map is then reduced to ``width`` channels, and three
    refinements lead from x4 up to x1. Each result is supervised; the last one is the prediction.

    Args:
        num_classes: channels of the logits.
        channels: of x1..x4; the transformer's features have those of x1.
        width: channels of all maps here.

    Source: CTO (Lin et al., IPMI 2023), CTO_net.py of xiaofang007/CTO.
    """

    def __init__(self, num_classes: int, channels: Sequence[int], width: int = 64) -> None:
        super().__init__()
        shallow, *_, deep = channels
        self.head = DualAttention(shallow + deep, deep)
        self.reduces = nn.ModuleList(reduce(inputs, width) for inputs in channels)
        steps = range(len(channels) - 1)
        self.refinements = nn.ModuleList(ReverseAttention(width) for _ in steps)
        self.predictors = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for _ in steps)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map x1..x4 [B, C_i, H / 2**i, W / 2**i] and the transformer's features to logits [B, classes, 4 H, 4 W].

        They are three, the prediction, made from x1, first; H x W is the size of x1.
        """
        *pyramid, deep, context = features
        deep = self.head(torch.cat([resize_like(context, deep), deep], dim=1))
        reduced = [reduce(x) for reduce, x in zip(self.reduces, [*pyramid, deep], strict=True)]
        d, logits = reduced.pop(), []
        height, width = pyramid[0].shape[-2:]
        for refine, predict in zip(self.refinements, self.predictors, strict=True):
            d = refine(reduced.pop(), d)
            size = (4 * height, 4 * width)
            logits.append(functional.interpolate(predict(d), size=size, mode="bilinear", align_corners=False))
        return logits[::-1]


class ReverseAttention(nn.Module):
    """Correct the coarser map d by the finer features x [B, width, H, W]: d + what both show + what d leaves out.

    The two corrections have one channel, which all channels of d share.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.joint = nn.Sequential(
            *conv_norm(2 * width, width, 3),
            nn.PReLU(),
            *conv_norm(width, width, 3),
            nn.PReLU(),
            nn.Conv2d(width, 1, 1),
        )
        self.missing = nn.Sequential(
            *conv_norm(width, width, 3, bias=False),
            nn.ReLU(),
            *conv_norm(width, width, 3, bias=False),
            nn.ReLU(),
            *conv_norm(width, 1, 3, bias=False),
        )

    def forward(self, x: Tensor, d: Tensor) -> Tensor:
        """Return the corrected map [B, width, H, W]; d [B, width, h, w] is resized to x."""
        d = resize_like(d, x)
        missing = self.missing((1 - d.sigmoid()) * x)
        return missing + d + self.joint(torch.cat([x, d], dim=1))


def reduce(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 1x1 convolution with batch norm and ReLU."""
    return nn.Sequential(*conv_norm(in_channels, out_channels, 1), nn.ReLU(inplace=True))
