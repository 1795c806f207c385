"""Deformable convolution: every output position samples the input where its offsets say."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]


def deformable_conv2d(
    x: Tensor,
    kernels: Tensor,
    offset: Tensor,
    mask: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolve values sampled from x (bilinear, zero outside), with one kernel or one for each sample.

    The values of torchvision's `deform_conv2d`, whose CPU kernel takes six times as long, and which knows
    neither kernels of the samples' own nor ONNX.

    Args:
        x: `[B, C, H, W]`; B may be 0.
        kernels: `[O, C/groups, kh, kw]`, or `[B, O, C/groups, kh, kw]`.
        offset: `[B, 2 * kh * kw, H', W']` in pixels: row and column of the first tap, of the second ...
        mask: `[B, kh * kw, H', W']`, factors of the sampled values, or None for 1.
        stride: (rows, columns) as in `nn.Conv2d`, like padding and dilation, in pixels.
        padding: rows and columns of zeros on either side.
        dilation: distance between taps.
        groups: groups of channels that do not see each other.

    Returns:
        y `[B, O, H', W']`.

    Source: Dai et al. 2017, equation 2; with a mask Zhu et al. 2019, equation 1.
    """
    sampled = _sample(x, offset, (kernels.shape[-2], kernels.shape[-1]), stride, padding, dilation)
    if mask is not None:
        sampled = sampled * mask[:, None]
    patches = sampled.unflatten(1, (groups, -1)).flatten(4).flatten(2, 3)  # [B, groups, C/groups * taps, H' * W']
    y = kernels.unflatten(-4, (groups, -1)).flatten(-3) @ patches.to(kernels.dtype)
    return y.flatten(1, 2).unflatten(2, offset.shape[2:])


def _sample(x: Tensor, offset: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """Return what each tap of each output position sees, `[B, C, kh * kw, H', W']`."""
    # positions between pixels need at least float32, whatever autocast made of the tensors
    wide = torch.promote_types(x.dtype, torch.float32)
    rows, columns = (
        torch.arange(positions, device=x.device) * step - margin + torch.arange(taps, device=x.device)[:, None] * gap
        for positions, step, margin, taps, gap in zip(
            offset.shape[2:], stride, padding, kernel_size, dilation, strict=True
        )
    )  # [kh, H'] and [kw, W'], without offsets
    moved = offset.to(wide).unflatten(1, (*kernel_size, 2))  # [B, kh, kw, 2, H', W']
    row, column = moved[:, :, :, 0] + rows[:, None, :, None], moved[:, :, :, 1] + columns[:, None, :]
    height, width = x.shape[2:]
    # -1 and 1 are the outer edges of the first and the last pixel
    grid = torch.stack([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1], -1)
    sampled = functional.grid_sample(x.to(wide), grid.flatten(1, 3), padding_mode="zeros", align_corners=False)
    return sampled.unflatten(2, (-1, offset.shape[2]))
