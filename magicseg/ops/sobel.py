"""The Sobel gradient of a feature map, safe to differentiate where the map is flat."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-correlate every channel with the Sobel kernels Kx = [[1, 0, -1], [2, 0, -2], [1, 0, -1]] and Ky = Kx^T.

    x: ``[B, C, H, W]``; both results have the same shape. The border is padded with zeros, so a non-zero map has edges
    there. The kernels are separable: smoothing by [1, 2, 1] along one axis, difference [1, 0, -1] along the other.
    """
    padded = F.pad(x, (1, 1, 1, 1))
    rows_smoothed = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    columns_smoothed = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    gx = rows_smoothed[..., :-2] - rows_smoothed[..., 2:]
    gy = columns_smoothed[..., :-2, :] - columns_smoothed[..., 2:, :]
    return gx, gy


def sobel_magnitude(x: Tensor) -> Tensor:
    """Return |G| = sqrt((x * Kx)^2 + (x * Ky)^2) per channel, shape as x ``[B, C, H, W]``.

    At |G| = 0 the square root has no derivative; here it is defined as 0, where a plain sqrt gives NaN gradients on
    every flat region. The values are those of the plain formula. Source: SGDC paper, equation 1.
    """
    gx, gy = sobel(x)
    squared = gx.square() + gy.square()
    flat = squared == 0
    return torch.sqrt(squared.masked_fill(flat, 1)).masked_fill(flat, 0)
