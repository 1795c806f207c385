"""Every network is encoder -> guidance -> decoder, so that guidance works with every backbone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Conv = Callable[..., nn.Module]
"""A convolution: anything that is called with nn.Conv2d's arguments and returns a module."""


class SegmentationModel(nn.Module):
    """An encoder and a decoder, and between them, if ``guidance`` is set, what refines the features.

    Guidance maps the features to features of the same shapes and edge logits (``magicseg.guidance.GuidedPyramid``).

    Args:
        encoder: maps images [B, C, H, W] to features, shallow to deep.
        decoder: maps those features to logits [B, classes, H, W].
        stride: H and W must be multiples of it.
        channels: of the features.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, stride: int, channels: list[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.stride = stride
        self.channels = channels
        self.guidance: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map images [B, C, H, W] to logits [B, classes, H, W]; in training with guidance to (logits, edge logits).

        Raises:
            ValueError: H or W is not a multiple of ``stride``; names the nearest legal size.
        """
        _check_size(x, self.stride)
        features = self.encoder(x)
        if self.guidance is None:
            return self.decoder(features)
        features, edge = self.guidance(features)
        logits = self.decoder(features)
        return (logits, edge) if self.training else logits


def _check_size(x: Tensor, stride: int) -> None:
    height, width = x.shape[-2:]
    if height % stride or width % stride or not height or not width:
        legal = [max(stride, round(side / stride) * stride) for side in (height, width)]
        raise ValueError(
            f"Input size {height}x{width} is not a multiple of {stride}; "
            f"the nearest legal size is {legal[0]}x{legal[1]}."
        )


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def all_finite(model: nn.Module) -> bool:
    """Return whether no weight is NaN or infinite."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
