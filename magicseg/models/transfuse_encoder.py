"""TransFuse's two encoders: a ResNet without its last stage, and a vision transformer beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import timm
from torch import Tensor, nn

from magicseg.models.image_size import grid_of
from magicseg.models.pretrained import Weights, load_pretrained
from magicseg.models.vit import resize_positions

PATCH = 16


def create_resnet(name: str, width: int, layers: Sequence[int], pretrained: bool | str) -> Any:
    """Return timm's ResNet up to its third stage."""
    network = timm.create_model(
        name,
        features_only=True,
        out_indices=(1, 2, 3),
        channels=tuple(width * 2**stage for stage in range(4)),
        layers=(*layers, 1),
        zero_init_last=False,  # as torchvision's: every residual branch counts from the start
    )
    load_pretrained(network, f"{name}.tv_in1k", pretrained, _without_last_stage)
    return network


def _without_last_stage(weights: Weights) -> Weights:
    return {name: value for name, value in weights.items() if not name.startswith("layer4.")}


class VisionTransformer(nn.Module):
    """timm's DeiT without class token: [B, C, H, W] -> [B, channels, H / 16, W / 16].

    The position embedding is made for ``image_size`` and resized bilinearly, corners aligned, for any other.

    Args:
        name: timm's, with patches of 16.
        depth: the transformer's layers.
        image_size: side of a square, or H and W.
        pretrained: as of ``load_pretrained``; layers beyond ``depth`` are dropped.

    Raises:
        ValueError: patches of another size, or what ``load_pretrained`` and ``grid_of`` refuse.
    """

    def __init__(self, name: str, depth: int, image_size: int | Sequence[int], pretrained: bool | str) -> None:
        super().__init__()
        self.grid = grid_of(image_size, PATCH)
        self.network: Any = timm.create_model(
            name,
            depth=depth,
            img_size=(PATCH * self.grid[0], PATCH * self.grid[1]),
            dynamic_img_size=True,
            class_token=False,
            global_pool="",
            num_classes=0,
        )
        patch_embed: Any = self.network.patch_embed
        rows, columns = patch_embed.patch_size
        if not rows == columns == PATCH:
            raise ValueError(f"{name} has patches of {rows}x{columns}; {PATCH}x{PATCH} is needed.")
        load_pretrained(self.network, name, pretrained, self._adapt)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's tokens as a map."""
        x = self.network.patch_embed(x)  # [B, H / 16, W / 16, channels]
        grid = (x.shape[1], x.shape[2])
        x = x.flatten(1, 2) + resize_positions(self.network.pos_embed, self.grid, grid)
        x = self.network.norm(self.network.blocks(x))
        return x.transpose(1, 2).unflatten(2, grid)

    def _adapt(self, weights: Weights) -> Weights:
        """Drop the class token and the layers beyond the depth; resize the position embedding of a square image."""
        kept = {f"blocks.{layer}." for layer in range(len(self.network.blocks))}
        own = {k: v for k, v in weights.items() if not k.startswith("blocks.") or k.startswith(tuple(kept))}
        if own.pop("cls_token", None) is not None and "pos_embed" in own:
            positions = own["pos_embed"][:, 1:]
            side = math.isqrt(positions.shape[1])
            own["pos_embed"] = resize_positions(positions, (side, side), self.grid)
        return own


class TransFuseEncoder(nn.Module):
    """[B, C, H, W] -> the CNN's features @1/4, @1/8, @1/16 and the transformer's @1/16."""

    def __init__(self, in_channels: int, resnet: Any, transformer: VisionTransformer) -> None:
        super().__init__()
        self.grey = in_channels == 1
        self.resnet = resnet
        self.transformer = transformer
        self.channels: list[int] = [*resnet.feature_info.channels(), transformer.network.embed_dim]
        self.drop = nn.Dropout2d(0.2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the four features."""
        if self.grey:
            x = x.expand(-1, 3, -1, -1)
        resnet = self.resnet
        features = [resnet.maxpool(resnet.act1(resnet.bn1(resnet.conv1(x))))]
        for layer in (resnet.layer1, resnet.layer2, resnet.layer3):
            features.append(self.drop(layer(features[-1])))
        return [*features[1:], self.drop(self.transformer(x))]
