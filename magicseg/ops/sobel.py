"""The Sobel gradient of a feature map, safe to differentiate where the map is flat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def sobel_x(x: Tensor) -> Tensor:
    """Correlate each channel of x `[B, C, H, W]` with Kx = [[1, 0, -1], [2, 0, -2], [1, 0, -1]], zeros outside x."""
    padded = functional.pad(x, (1, 1, 1, 1))
    difference = padded[..., :-2] - padded[..., 2:]
    return _smooth(difference[..., :-2, :], difference[..., 1:-1, :], difference[..., 2:, :])


def sobel_y(x: Tensor) -> Tensor:
    """Correlate each channel of x `[B, C, H, W]` with Ky, the transpose of Kx, zeros outside x."""
    padded = functional.pad(x, (1, 1, 1, 1))
    difference = padded[..., :-2, :] - padded[..., 2:, :]
    return _smooth(difference[..., :-2], difference[..., 1:-1], difference[..., 2:])


def sobel_magnitude(x: Tensor) -> Tensor:
    """Return |G| = sqrt((x * Kx)^2 + (x * Ky)^2) of each channel, `[B, C, H, W]` as x.

    Where |G| = 0 the square root has no derivative; here it is defined as 0, while a plain `sqrt` turns every
    gradient into NaN on flat regions. The values are those of the plain formula. Source: SGDC paper, equation 1.
    """
    magnitude: Tensor = _SobelMagnitude.apply(x)
    return magnitude


def _smooth(before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
    return torch.add(before + after, centre, alpha=2)


class _SobelMagnitude(torch.autograd.Function):
    """The adjoint of correlating with an odd kernel is correlating with its negative, hence the minus in backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gx, gy = sobel_x(x), sobel_y(x)
        magnitude = torch.addcmul(gx.square(), gy, gy).sqrt_()
        ctx.save_for_backward(gx, gy, magnitude)
        return magnitude

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        gx, gy, magnitude = ctx.saved_tensors
        scale = (grad / magnitude).masked_fill_(magnitude == 0, 0)
        return -(sobel_x(scale * gx) + sobel_y(scale * gy))
