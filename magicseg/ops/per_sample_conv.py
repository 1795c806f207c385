"""Convolution with a kernel of its own for every sample of a batch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from magicseg.ops.exporting import is_exporting

Size = int | tuple[int, ...]
Padding = Size | Literal["same", "valid"]

# From about this many values on, a CPU takes less time and memory for the samples of a batch one by one.
LARGE_SAMPLE = 200_000


def per_sample_conv2d(
    x: Tensor,
    kernels: Tensor,
    weights: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    mix: Literal["kernels", "outputs"] | None = None,
) -> Tensor:
    """Convolve each sample with its own mixture of K kernels: y_b = x_b * sum_k weights_bk kernels_k.

    Args:
        x: `[B, C, H, W]`, any memory layout; B may be 0.
        kernels: `[K, O, C/groups, kh, kw]`.
        weights: `[B, K]`; they need not sum to one.
        bias: `[K, O]`, mixed by the same weights, or None.
        stride: as in `torch.nn.functional.conv2d`, like padding, dilation and groups.
        padding: voxels, or "same" or "valid".
        dilation: distance between kernel taps.
        groups: groups of channels that do not see each other.
        mix: "kernels" mixes first and convolves once (K times less work); "outputs" convolves with all kernels and
            mixes the results: the same values from a graph that holds for every batch size. None chooses "outputs"
            while a model is exported (`torch.export`, ONNX) and "kernels" otherwise.

    Returns:
        y `[B, O, H', W']`.

    Raises:
        ValueError: shapes that do not fit each other, or an unknown `mix`.

    Source: MAGIC eq. 2 (the form that CondConv and DYConv share).
    """
    _check_shapes(x, kernels, weights, bias, groups)
    if mix is None:
        mix = "outputs" if is_exporting() else "kernels"
    if mix == "kernels":
        mixed = mix_kernels(kernels, weights)
        return conv2d_own_kernel(x, mixed, None if bias is None else weights @ bias, stride, padding, dilation, groups)
    if mix == "outputs":
        return _mix_outputs(x, kernels, weights, bias, stride, padding, dilation, groups)
    raise ValueError(f"mix must be 'kernels', 'outputs' or None, not {mix!r}.")


def mix_kernels(kernels: Tensor, weights: Tensor) -> Tensor:
    """Return every sample's kernel sum_k weights_bk kernels_k: `[K, ...]` and `[B, K]` give `[B, ...]`."""
    return (weights @ kernels.flatten(1)).reshape(-1, *kernels.shape[1:])


def conv2d_own_kernel(
    x: Tensor,
    kernels: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve sample b of x `[B, C, H, W]` with `kernels[b]` `[O, C/groups, kh, kw]`; bias is `[B, O]`.

    Large samples on a CPU are convolved one by one. Otherwise the batch becomes one image with B * groups groups of
    channels: one convolution, and a graph that holds for every batch size.
    """
    B, outputs = kernels.shape[:2]
    if B == 0:  # a convolution cannot have 0 groups; any kernel gives the empty result
        empty = kernels.sum(0)
        return functional.conv2d(x, empty, None if bias is None else bias.sum(0), stride, padding, dilation, groups)
    if x.is_cpu and x[0].numel() >= LARGE_SAMPLE and not is_exporting():
        biases = [None] * B if bias is None else bias
        samples = zip(x.split(1), kernels, biases, strict=True)
        return torch.cat([functional.conv2d(*sample, stride, padding, dilation, groups) for sample in samples])
    y = functional.conv2d(
        x.reshape(1, -1, *x.shape[2:]),
        kernels.flatten(0, 1),
        None if bias is None else bias.flatten(),
        stride,
        padding,
        dilation,
        B * groups,
    )
    return y.reshape(B, outputs, *y.shape[2:])


def _mix_outputs(
    x: Tensor,
    kernels: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: int,
) -> Tensor:
    K, outputs = kernels.shape[:2]
    # a grouped convolution wants its output channels sorted by group: [K, groups, O/groups] -> [groups, K, O/groups]
    stacked = kernels.unflatten(1, (groups, outputs // groups)).transpose(0, 1).flatten(0, 2)
    y = functional.conv2d(x, stacked, None, stride, padding, dilation, groups)
    y = y.unflatten(1, (groups, K, outputs // groups))
    y = (y * weights[:, None, :, None, None, None]).sum(2).flatten(1, 2)
    return y if bias is None else y + (weights @ bias)[:, :, None, None]


def _check_shapes(x: Tensor, kernels: Tensor, weights: Tensor, bias: Tensor | None, groups: int) -> None:
    if x.dim() != 4 or kernels.dim() != 5:
        raise ValueError(
            f"x must be [B, C, H, W] and kernels [K, O, C/groups, kh, kw], not {_shape(x)} and {_shape(kernels)}."
        )
    if x.shape[1] != kernels.shape[2] * groups or kernels.shape[1] % groups:
        raise ValueError(
            f"x {_shape(x)} and kernels {_shape(kernels)} do not fit: with groups={groups}, x needs "
            f"{kernels.shape[2] * groups} channels and kernels a multiple of {groups} outputs."
        )
    if weights.shape != (x.shape[0], kernels.shape[0]):
        raise ValueError(f"weights must be [B, K] = [{x.shape[0]}, {kernels.shape[0]}], not {_shape(weights)}.")
    if bias is not None and bias.shape != kernels.shape[:2]:
        raise ValueError(f"bias must be [K, O] = {list(kernels.shape[:2])}, not {_shape(bias)}.")


def _shape(x: Tensor) -> list[int]:
    return list(x.shape)
