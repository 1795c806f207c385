"""ContMix: the context-mixing dynamic convolution block that SGDC Table 4 compares with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.guidance.checks import check_hidden_width, check_positive
from magicseg.guidance.layers import LayerNorm2d

REGIONS = 7  # keys are averages over 7 x 7 regions of the map
DILATED_BRANCHES = {5: ((3, 1), (3, 2)), 7: ((5, 1), (3, 1), (3, 2), (3, 3))}  # (kernel size, dilation)


class ContMix(nn.Module):
    """Mix every position with its neighbourhood, by kernels made from its affinity to 7 x 7 regions of the whole map.

    A depthwise 3x3 convolution, LayerNorm and gated context mixing with two kernel sizes; then a depthwise 3x3
    convolution, LayerNorm and an MLP; both halves are residual. This is the plug-in form, which sees one feature only.
    The branches of the large depthwise convolution, which the released code can merge for inference, stay apart, and
    its drop path, off by default, is left out.

    Args:
        dim: C, channels, divisible by 4 * num_heads.
        kernel_size: of the large kernels, for the second half of the channels: 5 or 7.
        small_kernel_size: of the small kernels, for the first half: odd, at most kernel_size.
        num_heads: as the released code counts, which doubles it: either half has 2 * num_heads heads.
        mlp_ratio: the MLP has int(dim * mlp_ratio) hidden channels.
        layer_scale: start of a learned scale (with a shift) of each update; None for neither.
        res_scale: the learned scale acts on the identity instead of the update.

    Raises:
        ValueError: an argument outside these limits.

    Source: OverLoCK (Lou and Yu, CVPR 2025), contmix.py of LMMMEng/OverLoCK.
    """

    def __init__(
        self,
        dim: int = 64,
        kernel_size: int = 7,
        small_kernel_size: int = 5,
        num_heads: int = 2,
        mlp_ratio: float = 4.0,
        *,
        layer_scale: float | None = None,
        res_scale: bool = False,
    ) -> None:
        super().__init__()
        _check(dim, kernel_size, small_kernel_size, num_heads)
        self.kernel_sizes, self.heads, self.res_scale = (small_kernel_size, kernel_size), 2 * num_heads, res_scale
        self.dw_in, self.norm1 = _depthwise(dim, 3), LayerNorm2d(dim)
        self._add_context_mixing(dim)
        self._add_local(dim)
        self.gate, self.gate_norm = _pointwise(dim, dim), nn.BatchNorm2d(dim)
        self.out_norm, self.out = nn.BatchNorm2d(dim), nn.Conv2d(dim, dim, 1)
        self.dw_mid, self.norm2 = _depthwise(dim, 3), LayerNorm2d(dim)
        self._add_mlp(dim, check_hidden_width(dim, mlp_ratio))
        self.scale1, self.scale2 = _scale(dim, layer_scale), _scale(dim, layer_scale)

    def _add_context_mixing(self, dim: int) -> None:
        self.query, self.query_norm = _pointwise(dim, dim // 2), nn.BatchNorm2d(dim // 2)
        self.key, self.key_norm = _pointwise(dim, dim // 2), nn.BatchNorm2d(dim // 2)
        self.value, self.value_norm = _pointwise(dim, dim), nn.BatchNorm2d(dim)
        self.affinity_to_kernel = nn.Conv2d(REGIONS**2, sum(k * k for k in self.kernel_sizes), 1)
        self.rel_bias_small, self.rel_bias_large = (self._relative_bias(k) for k in self.kernel_sizes)
        self.reset_parameters()
        self.fuse, self.fuse_norm = _pointwise(dim, dim), nn.BatchNorm2d(dim)

    def _relative_bias(self, k: int) -> nn.Parameter:
        return nn.Parameter(torch.empty(self.heads, 2 * k - 1, 2 * k - 1))

    def reset_parameters(self) -> None:
        """Draw the biases of the relative positions; the layers have a `reset_parameters` of their own."""
        for table in (self.rel_bias_small, self.rel_bias_large):
            nn.init.trunc_normal_(table, std=0.02)

    def _add_local(self, dim: int) -> None:
        self.large_dw, self.large_dw_norm = _depthwise(dim, self.kernel_sizes[1], bias=False), nn.BatchNorm2d(dim)
        for k, dilation in DILATED_BRANCHES[self.kernel_sizes[1]]:
            self.add_module(f"dilated_dw_k{k}_{dilation}", _depthwise(dim, k, dilation, bias=False))
            self.add_module(f"dilated_norm_k{k}_{dilation}", nn.BatchNorm2d(dim))
        self.local_norm = nn.BatchNorm2d(dim)
        hidden = max(16, dim // 8)
        self.se_down, self.se_up = nn.Conv2d(dim, hidden, 1), nn.Conv2d(hidden, dim, 1)

    def _add_mlp(self, dim: int, hidden: int) -> None:
        self.ffn_in, self.ffn_dw = nn.Conv2d(dim, hidden, 1), _depthwise(hidden, 3)
        self.ffn_grn, self.ffn_out = GlobalResponseNorm(hidden), nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x `[B, dim, H, W]` to the same shape."""
        x = x + self.dw_in(x)
        x = self._residual(x, self._gated_mixing(self.norm1(x)), self.scale1)
        x = x + self.dw_mid(x)
        return self._residual(x, self._mlp(self.norm2(x)), self.scale2)

    def _residual(self, x: Tensor, update: Tensor, scale: nn.Module) -> Tensor:
        return scale(x) + update if self.res_scale else x + scale(update)

    def _gated_mixing(self, x: Tensor) -> Tensor:
        y = self.fuse_norm(self.fuse(self._context_mixing(x))) + self._local(x)
        channels = self.se_up(functional.gelu(self.se_down(y.mean((2, 3), keepdim=True)))).sigmoid()
        gate = functional.silu(self.gate_norm(self.gate(x)))
        return self.out(self.out_norm(y * channels * gate))

    def _local(self, x: Tensor) -> Tensor:
        y = self.large_dw_norm(self.large_dw(x))
        for k, dilation in DILATED_BRANCHES[self.kernel_sizes[1]]:
            convolved = self.get_submodule(f"dilated_dw_k{k}_{dilation}")(x)
            y = y + self.get_submodule(f"dilated_norm_k{k}_{dilation}")(convolved)
        return self.local_norm(y)

    def _context_mixing(self, x: Tensor) -> Tensor:
        """Mix; a map smaller than the kernel is enlarged first and the result averaged back to its size."""
        H, W = x.shape[-2:]
        k, shortest = self.kernel_sizes[1], min(H, W)
        if shortest >= k:
            return self._mix(x)
        enlarged = (H * k // shortest, W * k // shortest)
        x = functional.interpolate(x, size=enlarged, mode="bilinear", align_corners=False)
        return functional.adaptive_avg_pool2d(self._mix(x), (H, W))

    def _mix(self, x: Tensor) -> Tensor:
        kernels = self._affinity_kernels(x).split([k * k for k in self.kernel_sizes], dim=2)
        values = self.value_norm(self.value(x)).chunk(2, dim=1)
        biases = (self.rel_bias_small, self.rel_bias_large)
        mixed = []
        for kernel, value, bias in zip(kernels, values, biases, strict=True):
            weights = kernel + position_bias(bias, *x.shape[-2:])
            mixed.append(mix_windows(value, weights.softmax(2)))
        return torch.cat(mixed, dim=1)

    def _affinity_kernels(self, x: Tensor) -> Tensor:
        """Return the logits `[B, heads, s*s + k*k, H, W]` of both kernels."""
        B, C, H, W = x.shape
        query = self.query_norm(self.query(x)) * (C / self.heads) ** -0.5
        key = self.key_norm(self.key(functional.adaptive_avg_pool2d(x, REGIONS)))
        query, key = (t.flatten(2).unflatten(1, (self.heads, -1)) for t in (query, key))
        affinity = key.transpose(2, 3) @ query  # [B, heads, regions, H * W]
        logits = self.affinity_to_kernel(affinity.reshape(-1, REGIONS**2, H, W))
        return logits.unflatten(0, (B, self.heads))

    def _mlp(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.ffn_in(x))
        return self.ffn_out(self.ffn_grn(x + self.ffn_dw(x)))


class GlobalResponseNorm(nn.Module):
    """Scale each channel of `[B, C, H, W]` by its norm relative to the mean norm (ConvNeXt V2); zero-initialised."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.empty(1, channels, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set both parameters to zero."""
        nn.init.zeros_(self.gamma)
        nn.init.zeros_(self.beta)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + gamma * (x * relative norm) + beta."""
        norm = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        return x + self.gamma * (x * (norm / (norm.mean(1, keepdim=True) + 1e-6))) + self.beta


def mix_windows(values: Tensor, weights: Tensor) -> Tensor:
    """Sum each position's k x k window with weights of its own; at the border the window is the nearest one inside.

    values `[B, C, H, W]` with H, W >= k; weights `[B, heads, k*k, H, W]`; the result has the shape of values.
    """
    heads, taps = weights.shape[1:3]
    k = math.isqrt(taps)
    H, W = values.shape[-2:]
    windows = functional.unfold(values, k).unflatten(2, (H - k + 1, W - k + 1))
    windows = functional.pad(windows, (k // 2,) * 4, mode="replicate").unflatten(1, (heads, -1, taps))
    return (windows * weights.unsqueeze(2)).sum(3).flatten(1, 2)


def position_bias(table: Tensor, H: int, W: int) -> Tensor:
    """Look up the bias `[heads, k*k, H, W]` of each tap in a table `[heads, 2k-1, 2k-1]` by its offset."""
    k = (table.shape[-1] + 1) // 2
    rows, columns = (_offsets(side, k, table.device) for side in (H, W))
    bias = table[:, rows[:, None, :, None], columns[None, :, None, :]]  # [heads, H, W, k, k]
    return bias.flatten(3).permute(0, 3, 1, 2)


def _offsets(side: int, k: int, device: torch.device) -> Tensor:
    """Return `[side, k]`: where a window's taps lie relative to its position, counted from -(k - 1)."""
    position = torch.arange(side, device=device)
    start = (position - k // 2).clamp(0, side - k)
    return start[:, None] + torch.arange(k, device=device) - position[:, None] + k - 1


def _pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)


def _depthwise(dim: int, k: int, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(dim, dim, k, padding=dilation * (k // 2), dilation=dilation, groups=dim, bias=bias)


def _scale(dim: int, start: float | None) -> nn.Module:
    if start is None:
        return nn.Identity()
    return LayerScale(dim, start)


class LayerScale(nn.Conv2d):
    """A learned factor and shift for each channel, at first ``start`` and 0."""

    def __init__(self, dim: int, start: float) -> None:
        self.start = start
        super().__init__(dim, dim, 1, groups=dim)

    def reset_parameters(self) -> None:
        """Set the factors to ``start`` and the shifts to zero."""
        for value, parameter in zip((self.start, 0.0), self.parameters(), strict=True):  # weight, bias
            nn.init.constant_(parameter, value)


def _check(dim: int, kernel_size: int, small_kernel_size: int, num_heads: int) -> None:
    check_positive(dim=dim, num_heads=num_heads, small_kernel_size=small_kernel_size)
    if dim % (4 * num_heads):
        raise ValueError(f"dim must be divisible by 4 * num_heads = {4 * num_heads}, but dim is {dim}.")
    if kernel_size not in DILATED_BRANCHES:
        raise ValueError(f"kernel_size must be 5 or 7, not {kernel_size}.")
    if small_kernel_size > kernel_size or small_kernel_size % 2 == 0:
        raise ValueError(f"small_kernel_size must be odd and at most {kernel_size}, not {small_kernel_size}.")
