"""The ResNet before TransUNet's transformer: BiT's ResNet-50 with group norm, cut to three stages.

Called ResNetV2 in the public code, though its bottlenecks normalise after each convolution, not before.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from magicseg.models.model import Conv
from magicseg.models.weight_standardisation import StdConv2d, standardised

SCOPES = ("encoder_3x3", "encoder_all")


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution, each with group norm, beside a shortcut; ReLU after the sum.

    Args:
        in_channels: of the input.
        mid_channels: of the 3x3 convolution; the output has four times as many.
        stride: of the 3x3 convolution and the shortcut.
        groups: of the norms; the shortcut's norm has one group a channel.
        conv_3x3: builds the 3x3 convolution.
        conv_1x1: builds the others.
    """

    def __init__(
        self, in_channels: int, mid_channels: int, stride: int, groups: int, conv_3x3: Conv, conv_1x1: Conv
    ) -> None:
        super().__init__()
        out_channels = 4 * mid_channels
        self.residual = nn.Sequential(
            conv_1x1(in_channels, mid_channels, 1),
            nn.GroupNorm(groups, mid_channels, eps=1e-6),
            nn.ReLU(inplace=True),
            conv_3x3(mid_channels, mid_channels, 3, stride, 1),
            nn.GroupNorm(groups, mid_channels, eps=1e-6),
            nn.ReLU(inplace=True),
            conv_1x1(mid_channels, out_channels, 1),
            nn.GroupNorm(groups, out_channels, eps=1e-6),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            norm = nn.GroupNorm(out_channels, out_channels)
            self.shortcut = nn.Sequential(conv_1x1(in_channels, out_channels, 1, stride), norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, 4 mid, H / stride, W / stride], rounded up."""
        return functional.relu(self.shortcut(x) + self.residual(x))


class ResNetV2(nn.Module):
    """[B, C, H, W] -> [B, w, H/2, W/2], [B, 4w, H/4, W/4], [B, 8w, H/8, W/8], [B, 16w, H/16, W/16]; w is the width.

    The second feature is one row and column smaller inside, as the max-pooling does not pad; it is returned with zeros
    there. An image of one channel is repeated to three.

    Args:
        in_channels: channels of the image.
        width: w; 64 is ResNet-50. The norms have w / 2 groups.
        units: bottlenecks of each stage.
        conv: the convolution to compare.
        scope: where it goes: ``encoder_3x3``, the 3x3 convolutions of the bottlenecks; ``encoder_all``, their 1x1
            convolutions and shortcuts too. The first layer stays static.
        weight_std: standardise the mixed kernels of ``conv``; nn.Conv2d is standardised in any case.
    """

    def __init__(
        self, in_channels: int, width: int, units: Sequence[int], conv: Conv, scope: str, weight_std: bool
    ) -> None:
        super().__init__()
        self.grey = in_channels == 1
        self.root = nn.Sequential(
            StdConv2d(3 if self.grey else in_channels, width, 7, 2, 3, bias=False),
            nn.GroupNorm(width // 2, width, eps=1e-6),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, 2)
        dynamic = standardised(conv, weight_std)
        conv_1x1 = dynamic if scope == "encoder_all" else standardised(nn.Conv2d, weight_std)
        self.stages = nn.ModuleList()
        channels = width
        for stage, count in enumerate(units):
            mid = width * 2**stage
            strides = [2 if stage else 1] + [1] * (count - 1)
            inputs = [channels] + [4 * mid] * (count - 1)
            blocks = (
                Bottleneck(c, mid, s, width // 2, dynamic, conv_1x1) for c, s in zip(inputs, strides, strict=True)
            )
            self.stages.append(nn.Sequential(*blocks))
            channels = 4 * mid

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features, shallow to deep; H and W must be multiples of 16."""
        height, width = x.shape[-2:]
        x = self.root(x.expand(-1, 3, -1, -1) if self.grey else x)
        features = [x]
        x = self.pool(x)
        for level, stage in enumerate(self.stages, start=2):
            x = stage(x)
            features.append(_pad(x, height // 2**level, width // 2**level))
        return features


def _pad(x: Tensor, height: int, width: int) -> Tensor:
    """Return x [B, C, h, w] with zeros below and to the right, [B, C, height, width]."""
    return functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))
