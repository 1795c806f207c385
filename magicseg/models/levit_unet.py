"""LeViT-UNet (Xu et al., 2021): a U-Net whose encoder is LeViT (Graham et al., ICCV 2021), here with timm's blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.models.levit import LevitStage
from torch import Tensor, nn
from torch.nn import functional

from magicseg.models.image_size import grid_of
from magicseg.models.layers import conv_norm_relu
from magicseg.models.model import Conv, SegmentationModel, check_scope

SCOPES = ("encoder_3x3", "all")


class LeViTEncoder(nn.Module):
    """Four strided 3x3 convolutions, then three transformer stages, of which the second and third halve the map.

    [B, C, H, W] -> dims[0] / 8 channels at 1/2, / 4 at 1/4, / 2 at 1/8, and at 1/16 the last convolution's map and the
    three stages' maps, resized to it, as one feature of dims[0] + sum(dims) channels.
    """

    def __init__(
        self,
        in_channels: int,
        dims: Sequence[int],
        key_dim: int,
        heads: Sequence[int],
        depths: Sequence[int],
        grid: tuple[int, int],
        conv: Conv,
    ) -> None:
        super().__init__()
        self.grid = grid
        widths = [in_channels, *(dims[0] // part for part in (8, 4, 2, 1))]
        self.convs = nn.ModuleList(
            nn.Sequential(
                (conv if level else nn.Conv2d)(widths[level], widths[level + 1], 3, 2, 1, bias=False),
                nn.BatchNorm2d(widths[level + 1]),
                nn.Hardswish() if level < 3 else nn.Identity(),
            )
            for level in range(4)
        )
        self.stages = nn.ModuleList()
        self.grids = []
        for stage, (dim, count, depth) in enumerate(zip(dims, heads, depths, strict=True)):
            self.stages.append(
                LevitStage(
                    dims[max(stage - 1, 0)], dim, key_dim, depth, count, attn_ratio=2, mlp_ratio=2,
                    act_layer=nn.Hardswish, resolution=grid, downsample="subsample" if stage else "",
                )
            )  # fmt: skip
            grid = grid if stage == 0 else ((grid[0] + 1) // 2, (grid[1] + 1) // 2)
            self.grids.append(grid)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features, shallow to deep.

        Raises:
            ValueError: the input has not the size that the network was made for.
        """
        height, width = (16 * side for side in self.grid)
        if x.shape[-2:] != (height, width):
            raise ValueError(
                f"This LeViT-UNet takes {height}x{width} only, found {x.shape[-2]}x{x.shape[-1]}: its attention has a "
                "bias for every distance in that map. Build it with image_size set to the size of the images."
            )
        features = []
        for conv in self.convs:
            x = conv(x)
            features.append(x)
        maps = [x]
        tokens = x.flatten(2).mT
        for stage, grid in zip(self.stages, self.grids, strict=True):
            tokens = stage(tokens)
            maps.append(_resize(tokens.mT.unflatten(2, grid), self.grid))
        return [*features[:-1], torch.cat(maps, dim=1)]


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


class LeViTDecoder(nn.Module):
    """Features at 1/2, 1/4, 1/8 and 1/16, shallow to deep -> logits [B, classes, H, W].

    Every block doubles the size of what is below it; the skip feature of that size joins after the block.
    """

    def __init__(self, num_classes: int, channels: list[int], widths: Sequence[int], conv: Conv) -> None:
        super().__init__()
        *skips, deep = channels
        joined = [width + skip for width, skip in zip(widths, reversed(skips), strict=True)]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.UpsamplingBilinear2d(scale_factor=2), *conv_norm_relu(below, width, conv),
                *conv_norm_relu(width, width, conv),
            )
            for below, width in zip([deep, *joined], widths, strict=False)
        )  # fmt: skip
        self.head = nn.Conv2d(joined[-1], num_classes, 3, padding=1)
        self.up = nn.UpsamplingBilinear2d(scale_factor=2)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits."""
        *skips, x = features
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = torch.cat([block(x), skip], dim=1)
        return self.up(self.head(x))


class LeViTUNet(SegmentationModel):
    """LeViT-UNet whose 3x3 convolutions can be any convolution; the defaults are LeViT-UNet-384.

    Args:
        in_channels: channels of the image.
        num_classes: classes, background included.
        conv: the convolution to compare; called with nn.Conv2d's arguments and bias=False.
        image_size: side or (height, width) of every image, multiples of 16; the attention biases fit no other.
        dims: dimensions of a token in the three stages; the first a multiple of 8.
        key_dim: dimensions of a query and key in each head.
        heads: of the attention in the three stages.
        depths: layers of the three stages.
        decoder: channels of the decoder's three blocks.
        scope: where ``conv`` goes. ``encoder_3x3`` (default): the three 3x3 convolutions of the encoder after the
            first; ``all``: the decoder's six too.

    Raises:
        ValueError: unknown scope, or a number that does not fit.

    Source: apple1986/LeViT-UNet. With 1 channel, 9 classes and 224 x 224: 52,166,029 parameters.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv: Conv = nn.Conv2d,
        image_size: int | Sequence[int] = 224,
        dims: Sequence[int] = (384, 512, 768),
        key_dim: int = 32,
        heads: Sequence[int] = (6, 9, 12),
        depths: Sequence[int] = (4, 4, 4),
        decoder: Sequence[int] = (512, 256, 128),
        scope: str = "encoder_3x3",
    ) -> None:
        _check(scope, dims, key_dim, {"dims": dims, "heads": heads, "depths": depths, "decoder": decoder})
        channels = [dims[0] // 8, dims[0] // 4, dims[0] // 2, dims[0] + sum(dims)]
        super().__init__(
            LeViTEncoder(in_channels, dims, key_dim, heads, depths, grid_of(image_size, 16), conv),
            LeViTDecoder(num_classes, channels, decoder, conv if scope == "all" else nn.Conv2d),
            stride=16,
            channels=channels,
        )


def _check(scope: str, dims: Sequence[int], key_dim: int, triples: dict[str, Sequence[int]]) -> None:
    check_scope("LeViTUNet", scope, SCOPES)
    for name, triple in triples.items():
        if len(triple) != 3 or min(triple) < 1:
            raise ValueError(f"{name} must be three numbers of at least 1, found {list(triple)}.")
    if dims[0] % 8:
        raise ValueError(f"The first of dims must be a multiple of 8, found {dims[0]}.")
    if not 1 <= key_dim <= min(dims[:2]):
        raise ValueError(f"key_dim must be between 1 and {min(dims[:2])}, found {key_dim}.")
