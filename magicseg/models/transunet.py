"""TransUNet (Chen et al., 2021), R50-ViT-B_16: a ResNet, a Vision Transformer on its last feature, a U-Net decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor, nn

from magicseg.models.image_size import grid_of
from magicseg.models.layers import conv_norm_relu
from magicseg.models.model import Conv, SegmentationModel, check_scope
from magicseg.models.resnet_v2 import SCOPES, ResNetV2
from magicseg.models.vit import MapTransformer


class TransUNetEncoder(nn.Module):
    """A ResNet whose deepest feature a transformer replaces: four features, shallow to deep, at 1/2 to 1/16."""

    def __init__(self, resnet: ResNetV2, transformer: MapTransformer) -> None:
        super().__init__()
        self.resnet = resnet
        self.transformer = transformer

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features, shallow to deep."""
        *shallow, deep = self.resnet(x)
        return [*shallow, self.transformer(deep)]


class TransUNetDecoder(nn.Module):
    """Features at 1/2, 1/4, 1/8 and 1/16, shallow to deep -> logits [B, classes, H, W].

    Args:
        num_classes: channels of the logits.
        channels: of the features.
        width: the block that ends at full size has width / 4 channels, the others 4, 2 and 1 times width.
    """

    def __init__(self, num_classes: int, channels: list[int], width: int) -> None:
        super().__init__()
        *skips, deep = channels
        outputs = [4 * width, 2 * width, width, width // 4]
        inputs = [8 * width, *outputs[:-1]]
        added = [*reversed(skips), 0]  # nothing is left to add at full size
        self.bottom = conv_norm_relu(deep, inputs[0])
        self.blocks = nn.ModuleList(
            nn.Sequential(conv_norm_relu(below + skip, out), conv_norm_relu(out, out))
            for below, skip, out in zip(inputs, added, outputs, strict=True)
        )
        self.up = nn.UpsamplingBilinear2d(scale_factor=2)
        self.head = nn.Conv2d(outputs[-1], num_classes, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits."""
        *skips, deep = features
        x = self.bottom(deep)
        for block, skip in zip_longest(self.blocks, reversed(skips)):
            x = self.up(x)
            x = block(x if skip is None else torch.cat([x, skip], dim=1))
        return self.head(x)


class TransUNet(SegmentationModel):
    """TransUNet whose convolutions in the ResNet can be any convolution.

    The ResNet's own convolutions are weight-standardised. A dynamic convolution in their place is not, as a drop-in for
    nn.Conv2d would not be; ``weight_std`` changes that.

    Args:
        in_channels: channels of the image; one is repeated to three.
        num_classes: classes, background included.
        conv: the convolution to compare; called with nn.Conv2d's arguments and bias=False.
        image_size: side or (height, width) that the position embeddings are made for, multiples of 16; for another size
            they are resized.
        width: channels of the ResNet's first layer; those of its stages and of the decoder are multiples.
        units: bottlenecks of the ResNet's three stages.
        hidden: dimensions of a token.
        layers: transformer layers.
        heads: of each attention; divides ``hidden``.
        mlp: hidden units of each layer's perceptron.
        scope: where ``conv`` goes. ``encoder_3x3`` (default; MAGIC Table 6's FLOPs speak for it): the 3x3 convolutions
            of the bottlenecks; ``encoder_all``: their 1x1 convolutions and shortcuts too.
        weight_std: standardise the mixed kernel of CondConv, DYConv or MAGIC, per sample and filter.

    Raises:
        ValueError: unknown scope, a number that does not fit, or weight_std with a convolution that cannot have it.

    Source: Beckschen/TransUNet. The defaults with 9 classes have 105,277,081 parameters.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv: Conv = nn.Conv2d,
        image_size: int | Sequence[int] = 224,
        width: int = 64,
        units: Sequence[int] = (3, 4, 9),
        hidden: int = 768,
        layers: int = 12,
        heads: int = 12,
        mlp: int = 3072,
        scope: str = "encoder_3x3",
        weight_std: bool = False,
    ) -> None:
        _check(scope, width, units)
        channels = [width, 4 * width, 8 * width, hidden]
        resnet = ResNetV2(in_channels, width, units, conv, scope, weight_std)
        transformer = MapTransformer(16 * width, hidden, layers, heads, mlp, grid_of(image_size, 16))
        super().__init__(
            TransUNetEncoder(resnet, transformer),
            TransUNetDecoder(num_classes, channels, width),
            stride=16,
            channels=channels,
        )


def _check(scope: str, width: int, units: Sequence[int]) -> None:
    check_scope("TransUNet", scope, SCOPES)
    if width < 4 or width % 4:
        raise ValueError(
            f"width must be a multiple of 4, found {width}; the nearest is {max(4, round(width / 4) * 4)}."
        )
    if len(units) != 3 or min(units) < 1:
        raise ValueError(f"units must be three numbers of at least 1, found {list(units)}.")
