"""Res2Net-50 (Gao et al., TPAMI 2021) with a transformer branch and CTO's decoder: SGDC's baseline.

With ``conv=sgdc`` it is SGD-Net, whose network is unpublished, as reconstructed here: guidance refines x1, x2 and x3 at
their full width and hands x4 on; the transformer sees x1 before the refinement. ``magicseg.models.cto`` is the same
network with CTO's own edge attention in the place of guidance.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

import timm
from torch import Tensor, nn

from magicseg.models.boundary_decoder import BoundaryDecoder
from magicseg.models.exchange import SCOPES, exchange_convs
from magicseg.models.lightweight_vit import LightweightViT
from magicseg.models.model import Conv, SegmentationModel, check_scope
from magicseg.models.pretrained import load_pretrained

TIMM_NAME = "res2net50d"


class Res2NetEncoder(nn.Module):
    """[B, C, H, W] -> x1..x4 [B, 4 * width * 2**i, H / 2**(i + 2), W / 2**(i + 2)] and the transformer's map of x1.

    The convolutions are timm's res2net50d ("Res2Net-50 v1b 26w x 4s": deep stem, average pooling in the shortcuts).
    """

    def __init__(
        self,
        in_channels: int,
        conv: Conv,
        width: int,
        layers: Sequence[int],
        patch_sizes: Sequence[int],
        scope: str,
        pretrained: bool | str,
    ) -> None:
        super().__init__()
        self.grey = in_channels == 1
        self.network = timm.create_model(
            TIMM_NAME,
            features_only=True,
            out_indices=(1, 2, 3, 4),
            in_chans=3 if self.grey else in_channels,
            channels=tuple(width * 2**stage for stage in range(4)),
            layers=tuple(layers),
            stem_width=width // 2,
            zero_init_last=False,  # as the published networks: every residual branch counts from the start
        )
        load_pretrained(self.network, TIMM_NAME, pretrained)
        exchange_convs(self.network, conv, scope)
        self.transformer = LightweightViT(4 * width, patch_sizes)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return x1..x4 and, after them, the transformer's map, which has the shape of x1."""
        features = self.network(x.expand(-1, 3, -1, -1) if self.grey else x)
        return [*features, self.transformer(features[0])]


class Res2Net(SegmentationModel):
    """Res2Net-50 with a transformer branch and CTO's decoder, whose convolutions in the encoder can be any convolution.

    In training it returns three logits, made from x1 (the prediction), x2 and x3.

    Args:
        in_channels: channels of the image; a single one is repeated to three, so that pretrained weights fit.
        num_classes: channels of the logits.
        conv: the convolution to compare; called with nn.Conv2d's arguments and bias=False.
        width: of the first stage, doubled three times, even; 64 is Res2Net-50. Features have four times as many
            channels.
        layers: blocks of the four stages.
        decoder_width: channels of the decoder's maps.
        patch_sizes: of the transformer, on the map of a quarter of the image's height and width. Those must be
            multiples of each patch size, so H and W of the image multiples of four times their least common multiple.
        scope: where ``conv`` goes. ``encoder_3x3`` (default): the 3x3 convolutions of the blocks, 48 in Res2Net-50;
            ``encoder_all``: their 1x1 convolutions and those of the shortcuts too.
        pretrained: False, True for timm's ImageNet weights, or the path of a checkpoint. What a dynamic convolution
            replaces starts afresh.

    Raises:
        ValueError: unknown scope, an odd width, layers that are not four, numbers below 1, patch sizes whose number
            does not divide the features' channels, or weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv: Conv = nn.Conv2d,
        width: int = 64,
        layers: Sequence[int] = (3, 4, 6, 3),
        decoder_width: int = 64,
        patch_sizes: Sequence[int] = (32, 16, 8, 4),
        scope: str = "encoder_3x3",
        pretrained: bool | str = False,
    ) -> None:
        _check(width, layers, decoder_width, scope)
        channels = [4 * width * 2**stage for stage in range(4)]
        super().__init__(
            Res2NetEncoder(in_channels, conv, width, layers, patch_sizes, scope, pretrained),
            BoundaryDecoder(num_classes, channels, decoder_width),
            stride=4 * lcm(*patch_sizes),
            channels=channels,
        )


def _check(width: int, layers: Sequence[int], decoder_width: int, scope: str) -> None:
    check_scope("Res2Net", scope, SCOPES)
    if width < 2 or width % 2:
        raise ValueError(f"width must be even and at least 2, found {width}.")
    if decoder_width < 1:
        raise ValueError(f"decoder_width must be at least 1, found {decoder_width}.")
    if len(layers) != 4 or min(layers) < 1:
        raise ValueError(f"layers must be four whole numbers of at least 1, found {list(layers)}.")
