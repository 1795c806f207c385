"""The three pooled views of a feature map from which MAGIC computes its kernel weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from magicseg.ops.exporting import is_exporting
from magicseg.ops.precision import without_autocast


def pool_dimensions(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Pool x `[B, C, H, W]` over positions j: its mean, its mean maximum and its attention-weighted mean.

    Args:
        x: feature map.
        weight: `[1, C, 1, 1]`, the attention's linear map L_k.
        bias: `[1]` or None; as a softmax ignores a constant, it changes nothing and its gradient is zero.

    Returns:
        mean_j x_j `[B, C]`, mean_j max_c x_jc `[B]` and sum_j softmax_j(weight x_j) x_j `[B, C]`, in the type of x.
        Channels that share a maximum share its gradient, as in `torch.amax`. First derivatives only.

    Source: MAGIC eq. 3, 4 and 7.
    """
    if is_exporting():
        return _pool(x, weight)[:3]
    return _PoolDimensions.apply(x, weight, bias)


def pool_maximum(x: Tensor) -> Tensor:
    """Return mean_j max_c x_jc `[B]` of x `[B, C, H, W]`."""
    return x.amax(1).mean((1, 2))


def _pool(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    positions = x.flatten(2)
    with without_autocast(x.device):
        # bmm, as matmul would copy x to fold the batch into one product
        attention = torch.bmm(weight.flatten(1).to(x.dtype).expand(x.shape[0], 1, -1), positions).softmax(2)
        context = torch.bmm(attention, positions.transpose(1, 2)).squeeze(1)
    maximum = positions.amax(1, keepdim=True)
    return positions.mean(2), maximum.mean((1, 2)), context, attention, maximum


class _PoolDimensions(torch.autograd.Function):
    """All gradients of x in one matrix product, where autograd would write and add up a map of x's size for each view.

    With a_j the attention at position j: d x_jc = d context_c a_j + d mean_c / N + weight_c d logit_j, and the maximum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three pooled views and keep what their gradients need."""
        mean, maximum, context, *maps = _pool(x, weight)
        ctx.save_for_backward(x, weight, bias, *maps)
        return mean, maximum, context

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_mean: Tensor, d_maximum: Tensor, d_context: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias."""
        x, weight, bias, attention, maximum = ctx.saved_tensors
        positions = x.flatten(2)
        B, C, N = positions.shape
        with without_autocast(x.device):
            d_attention = torch.bmm(d_context.unsqueeze(1), positions)
            d_logits = attention * (d_attention - (attention * d_attention).sum(2, keepdim=True))
            d_weight = torch.bmm(d_logits, positions.transpose(1, 2)).sum(0)
            per_channel = torch.stack([d_context, d_mean / N, weight.flatten().to(x.dtype).expand(B, C)], 2)
            per_position = torch.cat([attention, torch.ones_like(attention), d_logits], 1)
            d_x = torch.bmm(per_channel, per_position)
        # numbers, 1 at the maximum: on a CPU three times as fast as booleans
        largest = torch.eq(positions, maximum, out=torch.empty_like(positions))
        d_x.addcmul_(largest, (d_maximum / N)[:, None, None] / largest.sum(1, keepdim=True))
        d_bias = None if bias is None else torch.zeros_like(bias)
        return d_x.view(x.shape), d_weight.reshape(weight.shape).to(weight.dtype), d_bias
