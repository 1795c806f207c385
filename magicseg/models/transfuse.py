"""TransFuse (Zhang et al., MICCAI 2021): a ResNet and a vision transformer side by side, fused at three sizes.

The defaults are TransFuse-S (ResNet-34, DeiT-small of 8 layers, 192x256). ``resnet="resnet50"``,
``transformer="deit_base_patch16_224"`` and ``depth=12`` give TransFuse-L.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from torch import nn

from magicseg.models.exchange import SCOPES, exchange_convs
from magicseg.models.model import Conv, SegmentationModel, check_scope
from magicseg.models.transfuse_decoder import TransFuseDecoder
from magicseg.models.transfuse_encoder import PATCH, TransFuseEncoder, VisionTransformer, create_resnet

Pretrained: TypeAlias = "bool | Mapping[str, bool | str]"
PARTS = ("resnet", "transformer")


class TransFuse(SegmentationModel):
    """TransFuse whose convolutions in the CNN branch can be any convolution.

    In training it returns three logits: map_2 (the prediction), map_1 and map_x of the published code.

    Args:
        in_channels: channels of the image; 3, or 1, which is repeated.
        num_classes: channels of the logits.
        conv: the convolution to compare; called with nn.Conv2d's arguments and bias=False.
        resnet: timm's name of the CNN.
        width: of its first stage, doubled twice; 64 is ResNet's. The stem always has 64.
        layers: blocks of its three stages.
        transformer: timm's name of the transformer, with patches of 16.
        depth: its layers.
        image_size: side of a square, or (height, width), that the position embedding is made for, multiples of 16; for
            another size it is resized.
        scope: where ``conv`` goes. ``encoder_3x3`` (default): the 3x3 convolutions of the three stages, 26 in
            ResNet-34; ``encoder_all``: their 1x1 convolutions and shortcuts too.
        pretrained: True for timm's ImageNet weights of both parts, False, or {"resnet": PATH, "transformer": PATH}; a
            part that is not named starts afresh, and so does what a dynamic convolution replaces.

    Raises:
        ValueError: an argument outside these limits, or weights that cannot be had.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv: Conv = nn.Conv2d,
        resnet: str = "resnet34",
        width: int = 64,
        layers: Sequence[int] = (3, 4, 6),
        transformer: str = "deit_small_patch16_224",
        depth: int = 8,
        image_size: int | Sequence[int] = (192, 256),
        scope: str = "encoder_3x3",
        pretrained: Pretrained = False,
    ) -> None:
        _check(in_channels, width, layers, depth, scope)
        weights = _by_part(pretrained)
        cnn = create_resnet(resnet, width, layers, weights["resnet"])
        exchange_convs(cnn, conv, scope)
        vit = VisionTransformer(transformer, depth, image_size, weights["transformer"])
        encoder = TransFuseEncoder(in_channels, cnn, vit)
        decoder = TransFuseDecoder(num_classes, encoder.channels)
        super().__init__(encoder, decoder, stride=PATCH, channels=encoder.channels)


def _by_part(pretrained: Pretrained) -> dict[str, bool | str]:
    if isinstance(pretrained, bool):
        return dict.fromkeys(PARTS, pretrained)
    if not isinstance(pretrained, Mapping) or not set(pretrained) <= set(PARTS):
        raise ValueError(
            "TransFuse has two encoders: pretrained must be true, false or {resnet: PATH, transformer: PATH}, "
            f"found {pretrained!r}."
        )
    return {part: pretrained.get(part, False) for part in PARTS}


def _check(in_channels: int, width: int, layers: Sequence[int], depth: int, scope: str) -> None:
    check_scope("TransFuse", scope, SCOPES)
    if in_channels not in (1, 3):
        raise ValueError(f"in_channels must be 1 or 3, found {in_channels}.")
    if width < 2 or depth < 1:
        raise ValueError(f"width must be at least 2 and depth at least 1, found {width} and {depth}.")
    if len(layers) != 3 or min(layers) < 1:
        raise ValueError(f"layers must be three whole numbers of at least 1, found {list(layers)}.")
