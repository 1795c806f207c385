"""Involution: a kernel for every position, shared within groups of channels (Li et al., CVPR 2021)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs.checks import check_at_least, check_input, pair, size_keeping_padding
from magicseg.convs.pointwise import Pointwise
from magicseg.ops.batch_norm import batch_norm_vectors
from magicseg.ops.per_sample_conv import Padding, Size


class Involution2d(nn.Module):
    """Involution, a stand-in for `nn.Conv2d` with as many output as input channels.

    At each position w = FC(ReLU(BN(FC(x)))) `[G, kh, kw]` is the kernel of that position; the channels of a group share
    it, zero padding outside. With a stride the kernels are made from x averaged over stride x stride cells; cells at
    the border of an odd size average what there is. In training, a batch of one on a 1x1 map uses BN's running
    statistics.

    The published operator has no bias at its output; here `bias=True` adds one.

    Args:
        in_channels: C, a multiple of group_channels; this and the following up to `dtype` as in `nn.Conv2d`, but
            out_channels = in_channels, and only odd kernels with padding (kernel_size - 1) / 2, dilation 1, groups 1.
        reduction: the hidden layer has C // reduction channels.
        group_channels: channels that share a kernel.

    Raises:
        ValueError: an argument that this operator cannot have; the text names the legal values.

    Source: eq. 4-6; d-li14/involution.
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
        reduction: int = 4,
        group_channels: int = 16,
    ) -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, reduction=reduction, group_channels=group_channels)
        if in_channels != out_channels or in_channels % group_channels:
            raise ValueError(
                f"Involution needs in_channels = out_channels, a multiple of group_channels={group_channels}; "
                f"found in_channels={in_channels}, out_channels={out_channels}."
            )
        self.padding = size_keeping_padding("Involution", kernel_size, padding, dilation, groups)
        self.kernel_size, self.stride = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_groups = in_channels // group_channels
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        hidden = max(1, in_channels // reduction)
        self.reduce = Pointwise(in_channels, hidden, bias=False, **place)
        self.reduce_norm = nn.BatchNorm1d(hidden, **place)
        self.span = Pointwise(hidden, self.kernel_groups * self.kernel_size[0] * self.kernel_size[1], **place)
        self.bias = nn.Parameter(torch.empty(out_channels, **place)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the bias to zero; the layers have a `reset_parameters` of their own."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, C, H', W']`, shaped as `nn.Conv2d` would for x `[B, C, H, W]` (eq. 4)."""
        w = self.position_kernels(x)[:, :, None]
        rows, columns = w.shape[-2:]
        top, left = self.padding
        wide = torch.promote_types(x.dtype, torch.float32)  # autocast must not round every partial sum
        padded = functional.pad(x.to(wide), (left, left, top, top)).unflatten(1, (self.kernel_groups, -1))
        y = padded.new_zeros(())
        # one multiply-add for each tap: an unfolded x would be kh * kw times larger
        for tap in range(w.shape[3]):
            row, column = divmod(tap, self.kernel_size[1])
            shifted = padded[..., row :: self.stride[0], column :: self.stride[1]]
            y = y + w[:, :, :, tap] * shifted[..., :rows, :columns]
        y = y.flatten(1, 2) if self.bias is None else y.flatten(1, 2) + self.bias[:, None, None]
        return y.to(w.dtype)

    def position_kernels(self, x: Tensor) -> Tensor:
        """Return the kernels `[B, G, kh*kw, H', W']` of all positions for x `[B, C, H, W]` (eq. 6)."""
        check_input(x, self.in_channels)
        cells = functional.avg_pool2d(x, self.stride, ceil_mode=True) if self.stride != (1, 1) else x
        v = self.reduce(cells.movedim(1, -1))
        v = functional.relu(batch_norm_vectors(self.reduce_norm, v.flatten(0, 2)).reshape(v.shape))
        return self.span(v).movedim(-1, 1).unflatten(1, (self.kernel_groups, -1)).contiguous()

    def extra_repr(self) -> str:
        """Return the convolution's arguments for `repr`."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, groups of channels={self.kernel_groups}, bias={self.bias is not None}"
        )
