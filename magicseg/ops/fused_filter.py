"""The spatially varying filter as three Triton kernels: on a GPU, one pass over the map where PyTorch needs k * k."""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from magicseg.ops import fused_filter_kernels as kernels

POSITIONS = 128
"""Positions that one program filters, for at most ``CHANNELS`` channels at a time."""
CHANNELS = 16


def fused_filter(x: Tensor, logits: Tensor) -> Tensor:
    """Filter x `[N, C, H, W]` with the softmax of logits `[N, k*k, H, W]` over the taps.

    Both contiguous, of one dtype, float32 or float64, and not empty. Every value is summed by one program in a fixed
    order, so repetition is bit-identical. Softmax is never stored: backward takes it from the logits again. Not twice
    differentiable.

    Returns:
        y `[N, C, H, W]`, as `spatially_varying_filter`, where the formula stands.
    """
    filtered: Tensor = _FusedFilter.apply(x, logits)
    return filtered


class _FusedFilter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, logits: Tensor) -> Tensor:
        y = torch.empty_like(x)
        largests, totals = torch.empty_like(logits[:, 0]), torch.empty_like(logits[:, 0])
        _launch(kernels.filtered, x, logits, y, largests, totals, shape=x.shape, taps=logits.shape[1])
        ctx.save_for_backward(x, logits, y, largests, totals)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, logits, y, largests, totals = ctx.saved_tensors
        grad, shape, taps = grad.contiguous(), x.shape, logits.shape[1]
        grad_x = grad_logits = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.empty_like(x)
            _launch(kernels.gradient_of_x, grad, logits, grad_x, largests, totals, shape=shape, taps=taps)
        if ctx.needs_input_grad[1]:
            grad_logits = torch.empty_like(logits)
            _launch(
                kernels.gradient_of_logits, grad, x, y, logits, largests, totals, grad_logits, shape=shape, taps=taps
            )
        return grad_x, grad_logits


def _launch(kernel: Any, *tensors: Tensor, shape: torch.Size, taps: int) -> None:
    N, C, H, W = shape
    channels = min(CHANNELS, triton.next_power_of_2(C))
    # the gradient of the logits sums over all channels: one program has them all
    blocks = 1 if kernel is kernels.gradient_of_logits else triton.cdiv(C, channels)
    grid = (N, triton.cdiv(H * W, POSITIONS), blocks)
    with torch.cuda.device_of(tensors[0]):  # Triton starts on the current GPU
        kernel[grid](*tensors, C, H, W, K=math.isqrt(taps), CHANNELS=channels, POSITIONS=POSITIONS)
