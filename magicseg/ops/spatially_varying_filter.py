"""A filter whose k x k weights differ from position to position, without unfolding the input."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from magicseg.ops.exporting import is_exporting

# On a CPU the work is cut into pieces of about this many values, so that a piece stays in the second-level cache.
PIECE = 2**16


def spatially_varying_filter(x: Tensor, logits: Tensor) -> Tensor:
    """Average the k x k neighbourhood of every position with weights of its own.

    y[b, c, h, w] = sum over taps t = (dy, dx) of softmax_t(logits[b, head(c), :, h, w])[t] * x[b, c, h + dy, w + dx]

    with x = 0 outside the map; channel c belongs to head(c) = c // (C / heads), and taps are in row-major order.
    The sum runs over shifted maps, and backward repeats it instead of keeping an unfolded x, which would be k * k times
    larger. Not twice differentiable.

    Args:
        x: `[B, C, H, W]`, any memory layout; B may be 0.
        logits: `[B, heads, k*k, H, W]`, k odd, C divisible by heads.

    Returns:
        y `[B, C, H, W]` in the dtype of x; half precision is summed in float32.

    Raises:
        ValueError: shapes that do not fit.

    Source: SGDC paper, section 3.3 (dynamic branch: unfold, softmax, weighted sum, fold).
    """
    _check_shapes(x, logits)
    B, C = x.shape[:2]
    heads, taps = logits.shape[1:3]
    dtype = torch.promote_types(torch.promote_types(x.dtype, logits.dtype), torch.float32)
    # a head of a sample is an independent problem: [B * heads, C / heads, H, W] and [B * heads, k * k, H, W]
    grouped_x = x.to(dtype).reshape(B * heads, C // heads, *x.shape[2:]).contiguous()
    grouped_logits = logits.to(dtype).reshape(B * heads, taps, *x.shape[2:]).contiguous()
    if is_exporting():  # cutting into pieces would fix the batch size in the graph
        y = torch.zeros_like(grouped_x)
        _add_filtered(y, grouped_x, grouped_logits.softmax(1))
    elif x.is_cuda and x.numel() and fused_filter_works(x.device):
        from magicseg.ops.fused_filter import fused_filter  # Triton is not there on every system

        y = fused_filter(grouped_x, grouped_logits)
    else:
        y = _SoftmaxFilter.apply(grouped_x, grouped_logits)
    return y.reshape(x.shape).to(x.dtype)


@torch.compiler.assume_constant_result
@cache
def fused_filter_works(device: torch.device) -> bool:
    """Return whether the Triton kernels run on ``device`` and are right, tried once on a small map.

    They need Triton, a C compiler and a GPU that Triton supports. A warning tells why they are not used.
    """
    try:
        from magicseg.ops.fused_filter import fused_filter

        fused, plain = (_try(form, device) for form in (fused_filter, _SoftmaxFilter.apply))
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(f"No fused filter on {device}; PyTorch's operations take its place. {reason}", stacklevel=2)
        return False
    return True


def _try(form: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> tuple[Tensor, ...]:
    """Return y and both gradients for fixed inputs that need more than one block of positions and of channels."""
    with torch.inference_mode(False), torch.enable_grad():
        waves = [torch.arange(2.0 * size * 9 * 17, device=device).mul(size).sin() for size in (19, 9, 19)]
        x, logits, grad = (wave.view(2, -1, 9, 17).requires_grad_() for wave in waves)
        y = form(x, logits)
        return y, *torch.autograd.grad(y, (x, logits), grad)


class _SoftmaxFilter(torch.autograd.Function):
    """x `[N, C, H, W]`, logits `[N, k*k, H, W]` -> y `[N, C, H, W]`, piece by piece."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, logits: Tensor) -> Tensor:
        weights, y = torch.empty_like(logits), torch.zeros_like(x)
        for x_, logits_, weights_, y_ in _pieces(x, logits, weights, y):
            torch.softmax(logits_, 1, out=weights_)
            _add_filtered(y_, x_, weights_)
        ctx.save_for_backward(x, weights, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weights, y = ctx.saved_tensors
        grad_x, grad_logits = torch.empty_like(x), torch.empty_like(weights)
        pieces = _pieces(x, weights, y, grad.contiguous(), grad_x, grad_logits)
        for x_, weights_, y_, g, grad_x_, grad_logits_ in pieces:
            grad_x_.copy_(_gradient_of_x(g, weights_))
            # softmax subtracts sum_t weights_t * (gradient of weights_t), which is sum_c g_c * y_c
            relative = _gradient_of_weights(g, x_, weights_, start=-(g * y_).sum(1, keepdim=True))
            torch.mul(relative, weights_, out=grad_logits_)
        return grad_x, grad_logits


def _add_filtered(y: Tensor, x: Tensor, weights: Tensor) -> None:
    k = _side(weights)
    for weight, shifted in zip(weights.split(1, 1), _shifts(_pad(x, k), k), strict=True):
        y.addcmul_(weight, shifted)


def _gradient_of_x(grad: Tensor, weights: Tensor) -> Tensor:
    """What every tap has read from a position flows back to it: the same shifts, reading and writing exchanged."""
    k = _side(weights)
    padded = _pad(torch.zeros_like(grad), k)
    for weight, shifted in zip(weights.split(1, 1), _shifts(padded, k), strict=True):
        shifted.addcmul_(weight, grad)
    margin = k // 2
    return padded[..., margin : margin + grad.shape[2], margin : margin + grad.shape[3]]


def _gradient_of_weights(grad: Tensor, x: Tensor, weights: Tensor, start: Tensor) -> Tensor:
    """Start plus the sum over channels of grad * x shifted by each tap, all taps of a channel at once."""
    k = _side(weights)
    windows = _windows(_pad(x, k), k).permute(1, 0, 4, 5, 2, 3)  # [C, N, k, k, H, W]
    result = start.unsqueeze(1).repeat(1, k, k, 1, 1)
    for g, window in zip(grad.split(1, 1), windows, strict=True):
        result.addcmul_(g.unsqueeze(1), window)
    return result.flatten(1, 2)


def _pad(x: Tensor, k: int) -> Tensor:
    return functional.pad(x, (k // 2,) * 4)


def _windows(padded: Tensor, k: int) -> Tensor:
    """Return the view `[N, C, H, W, k, k]` of all neighbourhoods."""
    return padded.unfold(2, k, 1).unfold(3, k, 1)


def _shifts(padded: Tensor, k: int) -> list[Tensor]:
    """Return the k * k shifted maps `[N, C, H, W]`: what each tap sees, in row-major order."""
    # slices, not parts of `_windows`: torch.compile refuses to write into a view that overlaps itself
    H, W = padded.shape[2] - k + 1, padded.shape[3] - k + 1
    return [padded[..., row : row + H, column : column + W] for row in range(k) for column in range(k)]


def _side(weights: Tensor) -> int:
    return math.isqrt(weights.shape[1])


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    first = tensors[0]
    size = PIECE // max(1, first.shape[1:].numel()) if first.is_cpu else len(first)
    return zip(*(tensor.split(max(1, size)) for tensor in tensors), strict=True)


def _check_shapes(x: Tensor, logits: Tensor) -> None:
    if x.dim() != 4 or logits.dim() != 5 or x.shape[0] != logits.shape[0] or x.shape[2:] != logits.shape[3:]:
        raise ValueError(
            f"x must be [B, C, H, W] and logits [B, heads, k*k, H, W], not {list(x.shape)} and {list(logits.shape)}."
        )
    heads, taps = logits.shape[1:3]
    if heads < 1 or x.shape[1] % heads:
        raise ValueError(f"The {x.shape[1]} channels of x must be divisible by the {heads} heads of logits.")
    k = math.isqrt(taps)
    if k * k != taps or k % 2 == 0:
        raise ValueError(f"logits must have k*k taps for an odd k (1, 9, 25, 49, ...), not {taps}.")
