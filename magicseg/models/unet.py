"""U-Net (Ronneberger et al., MICCAI 2015) with batch norm: the papers' plain CNN backbone.

Five levels, two 3x3 convolutions each, max-pooling down, transposed 2x2 convolutions up. At width 64 its cost at
256 x 256 is the 54.675 GFLOPs that MAGIC Table 6 prints (thop's counting; 48.1 GMACs in truth).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from magicseg.models.model import Conv, SegmentationModel, check_scope

SCOPES = ("encoder_3x3", "encoder_3x3_no_first_block", "all")


def double_conv(in_channels: int, out_channels: int, first: Conv, second: Conv) -> nn.Sequential:
    """Two times 3x3 convolution, batch norm, ReLU: [B, in, H, W] -> [B, out, H, W]."""
    return nn.Sequential(
        first(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        second(out_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class UNetEncoder(nn.Module):
    """[B, C, H, W] -> five features [B, width * 2**i, H / 2**i, W / 2**i]."""

    def __init__(self, in_channels: int, widths: list[int], conv: Conv, scope: str) -> None:
        super().__init__()
        # the very first layer stays static: MAGIC section 4.2, "all convolution layers except the first layer"
        second = nn.Conv2d if scope == "encoder_3x3_no_first_block" else conv
        blocks = [double_conv(in_channels, widths[0], nn.Conv2d, second)]
        blocks += [double_conv(shallow, deep, conv, conv) for shallow, deep in pairwise(widths)]
        self.blocks = nn.ModuleList(blocks)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features, shallow to deep."""
        features = [self.blocks[0](x)]
        for block in self.blocks[1:]:
            features.append(block(self.pool(features[-1])))
        return features


class UNetDecoder(nn.Module):
    """Five features, shallow to deep -> logits [B, classes, H, W]."""

    def __init__(self, num_classes: int, widths: list[int], conv: Conv) -> None:
        super().__init__()
        levels = list(zip(widths[-2::-1], widths[:0:-1], strict=True))  # (shallow, deep) from the bottom up
        self.ups = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for shallow, deep in levels)
        self.blocks = nn.ModuleList(double_conv(2 * shallow, shallow, conv, conv) for shallow, _ in levels)
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits."""
        x = features[-1]
        for up, block, skip in zip(self.ups, self.blocks, features[-2::-1], strict=True):
            x = block(torch.cat([skip, up(x)], dim=1))
        return self.head(x)


class UNet(SegmentationModel):
    """U-Net whose 3x3 convolutions can be any convolution.

    Args:
        in_channels: channels of the image.
        num_classes: classes, background included.
        conv: the convolution to compare; called with nn.Conv2d's arguments.
        width: channels of the first level; 64 gives 31,042,564 parameters for 1 channel and 4 classes.
        scope: where ``conv`` goes. ``encoder_3x3`` (default; MAGIC section 4.2: "implemented in the CNN encoder"): the
            nine 3x3 convolutions of the encoder after the first; ``encoder_3x3_no_first_block``: the eight of its four
            down blocks; ``all``: all seventeen 3x3 convolutions after the first.

    Raises:
        ValueError: unknown scope, or width below 1.
    """

    def __init__(
        self, in_channels: int, num_classes: int, conv: Conv = nn.Conv2d, width: int = 64, scope: str = "encoder_3x3"
    ) -> None:
        check_scope("UNet", scope, SCOPES)
        if width < 1:
            raise ValueError(f"width must be at least 1, found {width}.")
        widths = [width * 2**level for level in range(5)]
        super().__init__(
            UNetEncoder(in_channels, widths, conv, scope),
            UNetDecoder(num_classes, widths, conv if scope == "all" else nn.Conv2d),
            stride=16,
            channels=widths,
        )
