"""The Triton kernels of the fused filter: a program does ``POSITIONS`` positions, ``CHANNELS`` channels at a time.

Maps are contiguous `[N, C, H, W]`, logits `[N, K*K, H, W]`, and their softmax is exp(logits - largest) / total, both
`[N, H, W]`. Tap t lies t // K - K // 2 rows down and t % K - K // 2 columns to the right.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def filtered(x, logits, y, largests, totals, C, H, W, K: tl.constexpr, CHANNELS: tl.constexpr, POSITIONS: tl.constexpr):
    """y[c, p] = sum_t softmax_t(logits[p])[t] * x[c, p + t]; also stores largests and totals."""
    n = tl.program_id(0).to(tl.int64)
    position = tl.program_id(1) * POSITIONS + tl.arange(0, POSITIONS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    logits += n * K * K * H * W
    inside = position < H * W
    largest = tl.load(logits + position, mask=inside, other=0.0)
    total = tl.full((POSITIONS,), 1.0, largest.dtype)
    for tap in range(1, K * K):
        logit = tl.load(logits + tap * H * W + position, mask=inside, other=0.0)
        larger = tl.maximum(largest, logit)
        total = total * tl.exp(largest - larger) + tl.exp(logit - larger)
        largest = larger
    if tl.program_id(2) == 0:
        tl.store(largests + n * H * W + position, largest, mask=inside)
        tl.store(totals + n * H * W + position, total, mask=inside)
    result = tl.zeros((CHANNELS, POSITIONS), dtype=largest.dtype)
    for tap in range(K * K):
        weight = tl.exp(tl.load(logits + tap * H * W + position, mask=inside, other=0.0) - largest)
        seen, on_map = _shifted(position, tap // K - K // 2, tap % K - K // 2, H, W)
        result += weight[None, :] * _load_map(x, n, channel, seen, on_map, C, H, W)
    _store_map(y, result / total[None, :], n, channel, position, inside, C, H, W)


@triton.jit
def gradient_of_x(
    grad, logits, grad_x, largests, totals, C, H, W, K: tl.constexpr, CHANNELS: tl.constexpr, POSITIONS: tl.constexpr
):
    """grad_x[c, p] = sum_t softmax_t(logits[p - t])[t] * grad[c, p - t]: what each tap has read flows back to it."""
    n = tl.program_id(0).to(tl.int64)
    position = tl.program_id(1) * POSITIONS + tl.arange(0, POSITIONS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    logits += n * K * K * H * W
    largests += n * H * W
    totals += n * H * W
    result = tl.zeros((CHANNELS, POSITIONS), dtype=grad.dtype.element_ty)
    for tap in range(K * K):
        reader, on_map = _shifted(position, K // 2 - tap // K, K // 2 - tap % K, H, W)
        logit = tl.load(logits + tap * H * W + reader, mask=on_map, other=0.0)
        weight = tl.exp(logit - tl.load(largests + reader, mask=on_map, other=0.0))
        weight /= tl.load(totals + reader, mask=on_map, other=1.0)
        result += weight[None, :] * _load_map(grad, n, channel, reader, on_map, C, H, W)
    _store_map(grad_x, result, n, channel, position, position < H * W, C, H, W)


@triton.jit
def gradient_of_logits(
    grad,
    x,
    y,
    logits,
    largests,
    totals,
    grad_logits,
    C,
    H,
    W,
    K: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """grad_logits[t, p] = softmax_t(logits[p])[t] * (sum_c grad[c, p] x[c, p + t] - sum_c grad[c, p] y[c, p])."""
    n = tl.program_id(0).to(tl.int64)
    position = tl.program_id(1) * POSITIONS + tl.arange(0, POSITIONS)
    inside = position < H * W
    logits += n * K * K * H * W
    grad_logits += n * K * K * H * W
    largest = tl.load(largests + n * H * W + position, mask=inside, other=0.0)
    total = tl.load(totals + n * H * W + position, mask=inside, other=1.0)
    mean = _product(grad, y, n, position, position, inside, C, H, W, CHANNELS, POSITIONS)
    for tap in range(K * K):
        seen, on_map = _shifted(position, tap // K - K // 2, tap % K - K // 2, H, W)
        change = _product(grad, x, n, position, seen, on_map, C, H, W, CHANNELS, POSITIONS)
        weight = tl.exp(tl.load(logits + tap * H * W + position, mask=inside, other=0.0) - largest) / total
        tl.store(grad_logits + tap * H * W + position, weight * (change - mean), mask=inside)


@triton.jit
def _product(grad, x, n, position, seen, on_map, C, H, W, CHANNELS: tl.constexpr, POSITIONS: tl.constexpr):
    """Return sum_c grad[n, c, position] * x[n, c, seen] `[POSITIONS]`, 0 off the map."""
    result = tl.zeros((POSITIONS,), dtype=grad.dtype.element_ty)
    for first in range(0, C, CHANNELS):
        channel = first + tl.arange(0, CHANNELS)
        at_position = _load_map(grad, n, channel, position, on_map, C, H, W)
        result += tl.sum(at_position * _load_map(x, n, channel, seen, on_map, C, H, W), axis=0)
    return result


@triton.jit
def _shifted(position, down, right, H, W):
    """Return the positions further down and right, and whether they lie on the map."""
    row, column = position // W + down, position % W + right
    on_map = (position < H * W) & (row >= 0) & (row < H) & (column >= 0) & (column < W)
    return row * W + column, on_map


@triton.jit
def _load_map(x, n, channel, position, on_map, C, H, W):
    """Return x[n, channel, position] `[CHANNELS, POSITIONS]`, 0 off the map."""
    mask = (channel < C)[:, None] & on_map[None, :]
    return tl.load(x + n * C * H * W + channel[:, None] * (H * W) + position[None, :], mask=mask, other=0.0)


@triton.jit
def _store_map(y, result, n, channel, position, on_map, C, H, W):
    mask = (channel < C)[:, None] & on_map[None, :]
    tl.store(y + n * C * H * W + channel[:, None] * (H * W) + position[None, :], result, mask=mask)
