"""Edge modulation by the Sobel gradient, safe to differentiate where the map is flat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from magicseg.ops.exporting import is_exporting


def edge_modulation(x: Tensor, *, shared: bool = False) -> Tensor:
    """Return x * sigmoid(|G|) with |G| = sqrt((x * Kx)^2 + (x * Ky)^2), the Sobel gradient's magnitude.

    Where |G| = 0 the square root has no derivative; here it is 0, while the plain formula turns every gradient into
    NaN on flat regions. The values are those of the plain formula. Not twice differentiable.

    Args:
        x: `[B, C, H, W]`, zero outside; so the border of a flat map is an edge.
        shared: G is taken of the sum of all channels and modulates each of them, as a Sobel kernel that is dense and
            equal in all channel pairs does; otherwise every channel has its own.

    Returns:
        `[B, C, H, W]` in the dtype of x; in half precision, G is computed in float32.

    Source: SGDC paper, equation 1.
    """
    if is_exporting():
        return _modulate(x, shared)[0]
    modulated: Tensor = _EdgeModulation.apply(x, shared)
    return modulated


def sobel_x(x: Tensor) -> Tensor:
    """Correlate each channel of x `[B, C, H, W]` with Kx = [[1, 0, -1], [2, 0, -2], [1, 0, -1]], zeros outside x."""
    return _correlate_kx(_pad(x))


def sobel_y(x: Tensor) -> Tensor:
    """Correlate each channel of x `[B, C, H, W]` with Ky, the transpose of Kx, zeros outside x."""
    return _correlate_ky(_pad(x))


def _pad(x: Tensor) -> Tensor:
    return functional.pad(x, (1, 1, 1, 1))


def _correlate_kx(padded: Tensor) -> Tensor:
    difference = padded[..., :-2] - padded[..., 2:]
    return _smooth(difference[..., :-2, :], difference[..., 1:-1, :], difference[..., 2:, :])


def _correlate_ky(padded: Tensor) -> Tensor:
    difference = padded[..., :-2, :] - padded[..., 2:, :]
    return _smooth(difference[..., :-2], difference[..., 1:-1], difference[..., 2:])


def _smooth(before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
    return torch.add(before + after, centre, alpha=2)


def _modulate(x: Tensor, shared: bool) -> tuple[Tensor, ...]:
    """Return x * gate, then gx, gy, |G| and the gate, from which backward takes the gradient."""
    source = x.to(torch.promote_types(x.dtype, torch.float32))
    if shared:
        source = source.sum(1, keepdim=True)
    padded = _pad(source)
    gx, gy = _correlate_kx(padded), _correlate_ky(padded)
    magnitude = torch.addcmul(gx.square(), gy, gy).sqrt_()
    gate = magnitude.sigmoid()
    return x * gate.to(x.dtype), gx, gy, magnitude, gate


class _EdgeModulation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shared: bool) -> Tensor:
        ctx.shared = shared
        modulated, *parts = _modulate(x, shared)
        ctx.save_for_backward(x, *parts)
        return modulated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, gx, gy, magnitude, gate = ctx.saved_tensors
        product = grad * x
        grad_gate = product.sum(1, keepdim=True, dtype=gate.dtype) if ctx.shared else product
        # the adjoint of correlating with an odd kernel is correlating with its negative: hence gate - 1, not 1 - gate
        scale = (grad_gate * gate).mul_(gate - 1).div_(magnitude).masked_fill_(magnitude == 0, 0)
        grad_source = sobel_x(scale * gx).add_(sobel_y(scale * gy))
        return torch.addcmul(grad_source, grad, gate, out=product), None  # written where the product is not needed
