"""DCD: dynamic channel fusion, dynamic convolution by matrix decomposition (Li et al., ICLR 2021)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs.checks import check_at_least, check_input, pair, size_keeping_padding
from magicseg.convs.pointwise import Pointwise
from magicseg.ops.batch_norm import batch_norm_vectors
from magicseg.ops.per_sample_conv import Padding, Size

Variant = Literal["basic", "general", "pointwise"]


class DCDConv2d(nn.Module):
    """DCD, a stand-in for `nn.Conv2d`: y = P (BN(Phi(x) q) + q) + Lambda(x) * conv(x), where q = BN(Q x).

    Phi `[L, L]` and Lambda `[O]` depend on the sample; P, Q and the convolution are static. The authors publish three
    sizes of the dynamic branch. `variant=None` takes "basic" (residual blocks) for 3x3 kernels, "pointwise" (MobileNet)
    for 1x1 kernels with stride 1 and "general" (bottlenecks) for all others. In training, a batch of one on a 1x1 map
    uses the running statistics of the batch norms.

    The published operator has no bias; here `bias=True` gives one to P.

    Args:
        in_channels: C; this and the following up to `dtype` as in `nn.Conv2d`, but only odd kernels with padding
            (kernel_size - 1) / 2, dilation 1 and groups 1.
        variant: "basic", "general", "pointwise" or None.

    Raises:
        ValueError: an argument that this operator cannot have; the text names the legal values.

    Source: eq. 5-7; sizes and the gate h as in liyunsheng13/dcd.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        variant: Variant | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, out_channels=out_channels)
        kept = size_keeping_padding("DCD", kernel_size, padding, dilation, groups)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
        self.variant = _choose_variant(variant, self.kernel_size, self.stride)
        pool, latent, squeeze = _sizes(self.variant, in_channels, out_channels)
        self.pool, self.latent = pool, latent
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.static = nn.Conv2d(in_channels, out_channels, self.kernel_size, self.stride, kept, bias=False, **place)
        self.proj_in = Pointwise(in_channels, latent, bias=False, **place)
        self.norm_in = nn.BatchNorm1d(latent, **place)
        self.norm_mid = nn.BatchNorm1d(latent, **place)
        self.proj_out = Pointwise(latent, out_channels, bias=bias, **place)
        self.squeeze = nn.Linear(in_channels * pool * pool, squeeze, bias=False, **place)
        self.squeeze_gate = nn.Linear(squeeze, squeeze, bias=False, **place)
        self.phi = nn.Linear(squeeze, latent * latent, bias=False, **place)
        self.scale = nn.Linear(squeeze, out_channels, bias=False, **place)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, O, H', W']`, shaped as `nn.Conv2d` would for x `[B, C, H, W]`."""
        check_input(x, self.in_channels)
        y = self.static(x)
        g = self.squeeze(functional.adaptive_avg_pool2d(x, self.pool).flatten(1))
        g = g * _gate(self.squeeze_gate(g))
        fused = self._fuse(x, self.phi(g).unflatten(1, (self.latent, self.latent)))
        return y * _gate(self.scale(g))[:, :, None, None] + fused.mT.reshape(y.shape)

    def _fuse(self, x: Tensor, Phi: Tensor) -> Tensor:
        """Return P (BN(Phi q) + q) `[B, N, O]` for the N positions that the stride leaves; Phi is `[B, L, L]`."""
        rows, columns = self.stride
        q = self.proj_in(x[:, :, ::rows, ::columns].movedim(1, -1)).flatten(1, 2)
        q = _norm(self.norm_in, q)
        return self.proj_out(_norm(self.norm_mid, q @ Phi.mT) + q)


def _gate(t: Tensor) -> Tensor:
    """Return h(t) = min(max(t + 3, 0), 6) / 3, between 0 and 2: 1 for t = 0."""
    return functional.relu6(t + 3) / 3


class Sizes(NamedTuple):
    """Sizes of the dynamic branch: cells of the pooled map per side, channels L of q, units of the hidden layer."""

    pool: int
    latent: int
    squeeze: int


def _sizes(variant: Variant, in_channels: int, out_channels: int) -> Sizes:
    if variant == "basic":
        latent = int((4 * in_channels) ** 0.5)
        return Sizes(2, latent, max(max(4 * in_channels, latent**2) // 16, 4))
    if variant == "general":
        latent = int(in_channels**0.5)
        # as published, C < 16 would leave 0 units
        return Sizes(1, latent, max(in_channels // 16, 1))
    pool, reduction = (2, 8) if in_channels < out_channels else (1, 2)
    pooled = in_channels * pool * pool
    widest = min(pooled, out_channels)
    while (widest // reduction) ** 2 > 2 * pooled:
        reduction *= 2
    latent = max(widest // reduction, 4)
    return Sizes(pool, latent, max(max(pooled, latent**2) // 8, 4))


def _choose_variant(variant: Variant | None, kernel_size: tuple[int, int], stride: tuple[int, int]) -> Variant:
    pointwise = kernel_size == (1, 1) and stride == (1, 1)
    if variant is None:
        return "basic" if kernel_size == (3, 3) else "pointwise" if pointwise else "general"
    if variant not in ("basic", "general", "pointwise"):
        raise ValueError(f"variant must be 'basic', 'general', 'pointwise' or None, not {variant!r}.")
    if variant == "basic" and kernel_size != (3, 3):
        raise ValueError(f"DCD's variant 'basic' is for 3x3 kernels, not {kernel_size}: use 'general' or None.")
    if variant == "pointwise" and not pointwise:
        raise ValueError(
            f"DCD's variant 'pointwise' is for 1x1 kernels with stride 1, not kernel_size={kernel_size}, "
            f"stride={stride}: use 'general' or None."
        )
    return variant


def _norm(norm: nn.BatchNorm1d, v: Tensor) -> Tensor:
    """Apply batch norm over all samples and positions of v `[B, N, L]`."""
    return batch_norm_vectors(norm, v.flatten(0, 1)).reshape(v.shape)
