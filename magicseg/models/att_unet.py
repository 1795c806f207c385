"""Attention U-Net (Oktay et al., MIDL 2018) as LeeJunHyun/Image_Segmentation builds it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magicseg.models.attention_gate import AttentionGate
from magicseg.models.model import Conv, SegmentationModel, check_scope
from magicseg.models.unet import SCOPES, UNetEncoder, double_conv


class AttUNetDecoder(nn.Module):
    """Five features, shallow to deep -> logits [B, classes, H, W].

    Every level doubles the size by nearest neighbours and a 3x3 convolution, lets the result gate the skip feature, and
    joins both.

    Args:
        num_classes: channels of the logits.
        widths: channels of the features.
        conv: builds the 3x3 convolutions.
        attention: gate the skip features; without, they are joined as they are.
    """

    def __init__(self, num_classes: int, widths: list[int], conv: Conv, attention: bool) -> None:
        super().__init__()
        levels = list(zip(widths[-2::-1], widths[:0:-1], strict=True))  # (shallow, deep) from the bottom up
        self.ups = nn.ModuleList(_up(deep, shallow, conv) for shallow, deep in levels)
        self.gates = nn.ModuleList(AttentionGate(c, c, c // 2) for c, _ in levels) if attention else None
        self.blocks = nn.ModuleList(double_conv(2 * shallow, shallow, conv, conv) for shallow, _ in levels)
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits."""
        x = features[-1]
        for level, skip in enumerate(features[-2::-1]):
            x = self.ups[level](x)
            if self.gates is not None:
                skip = self.gates[level](x, skip)
            x = self.blocks[level](torch.cat([skip, x], dim=1))
        return self.head(x)


def _up(in_channels: int, out_channels: int, conv: Conv) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        conv(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class AttUNet(SegmentationModel):
    """Attention U-Net whose 3x3 convolutions can be any convolution.

    Args:
        in_channels: channels of the image.
        num_classes: classes, background included.
        conv: the convolution to compare; called with nn.Conv2d's arguments.
        width: channels of the first level, an even number; 64 gives 34,878,573 parameters for 3 channels and 1 class.
        attention: gate the skip features; without, this is the same repository's U-Net of 34,527,041 parameters.
        scope: where ``conv`` goes. ``encoder_3x3`` (default): the nine 3x3 convolutions of the encoder after the first;
            ``encoder_3x3_no_first_block``: the eight of its four down blocks; ``all``: all twenty-one 3x3 convolutions
            after the first.

    Raises:
        ValueError: unknown scope, or width not an even number of at least 2.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv: Conv = nn.Conv2d,
        width: int = 64,
        attention: bool = True,
        scope: str = "encoder_3x3",
    ) -> None:
        check_scope("AttUNet", scope, SCOPES)
        if width < 2 or width % 2:
            raise ValueError(f"width must be an even number of at least 2, found {width}.")
        widths = [width * 2**level for level in range(5)]
        super().__init__(
            UNetEncoder(in_channels, widths, conv, scope),
            AttUNetDecoder(num_classes, widths, conv if scope == "all" else nn.Conv2d, attention),
            stride=16,
            channels=widths,
        )
