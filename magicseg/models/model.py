"""Every network is encoder -> guidance -> decoder, so that guidance works with every backbone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from magicseg.models.image_size import check_size

Conv = Callable[..., nn.Module]
"""A convolution: anything that is called with nn.Conv2d's arguments and returns a module."""


class Outputs(NamedTuple):
    """What a network with more than one supervised output returns in training.

    ``logits``, each [B, classes, H, W]: the prediction first, then the outputs of deep supervision. ``edge``: logits
    [B, 1, h, w] of the edge map, or None.
    """

    logits: tuple[Tensor, ...]
    edge: Tensor | None


class SegmentationModel(nn.Module):
    """An encoder and a decoder, and between them, if ``guidance`` is set, what refines the features.

    Guidance maps the features to features of the same shapes and edge logits (``magicseg.guidance.GuidedPyramid``).

    Args:
        encoder: maps images [B, C, H, W] to features, shallow to deep, and what else the decoder needs after them.
        decoder: maps those features to logits [B, classes, H, W], or to several, the prediction first.
        stride: H and W must be multiples of it.
        channels: of the features that guidance refines; what the encoder returns after them goes past it.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, stride: int, channels: list[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.stride = stride
        self.channels = channels
        self.guidance: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor | Outputs:
        """Map images [B, C, H, W] to logits [B, classes, H, W]; in training to Outputs where there are more.

        Raises:
            ValueError: H or W is not a multiple of ``stride``; names the nearest legal size.
        """
        height, width = x.shape[-2:]
        check_size("Input size", height, width, self.stride)
        features, edge = self.encoder(x), None
        if self.guidance is not None:
            pyramid = len(self.channels)
            refined, edge = self.guidance(features[:pyramid])
            features = [*refined, *features[pyramid:]]
        logits = self.decoder(features)
        every = (logits,) if isinstance(logits, Tensor) else tuple(logits)
        supervised = self.training and (len(every) > 1 or edge is not None)
        return Outputs(every, edge) if supervised else every[0]


def check_scope(network: str, scope: str, allowed: Collection[str]) -> None:
    """Raise ValueError unless ``scope``, which says where the convolution goes, is one of the network's."""
    if scope not in allowed:
        raise ValueError(f"Unknown scope {scope!r} for {network}; allowed: {', '.join(allowed)}.")


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def all_finite(model: nn.Module) -> bool:
    """Return whether no weight is NaN or infinite."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
