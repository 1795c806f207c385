"""What dynamic convolutions share: a bank of K kernels, mixed anew for every sample."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from magicseg.convs.checks import check_at_least, check_groups, check_padding, pair
from magicseg.ops.per_sample_conv import Padding, Size, per_sample_conv2d


class KernelBankConv2d(nn.Module, ABC):
    """A stand-in for `nn.Conv2d` whose kernel is a mixture of K kernels with weights that depend on the sample.

    A subclass says what the weights are: `weights(x)` `[B, C, H, W] -> [B, K]`. The arguments are `nn.Conv2d`'s.

    Parameters: `kernels` `[K, O, C/groups, kh, kw]`, `kernel_bias` `[K, O]` or None.

    Raises:
        ValueError: an argument that no convolution can have.
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
        num_kernels: int,
    ) -> None:
        super().__init__()
        check_at_least(1, in_channels=in_channels, out_channels=out_channels, groups=groups, num_kernels=num_kernels)
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = pair("stride", stride, 1)
        self.padding = padding if isinstance(padding, str) else pair("padding", padding, 0)
        self.dilation = pair("dilation", dilation, 1)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.groups, self.num_kernels = groups, num_kernels
        check_groups(in_channels, out_channels, groups)
        check_padding(padding, self.stride)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.kernels = nn.Parameter(
            torch.empty(num_kernels, out_channels, in_channels // groups, *self.kernel_size, **place)
        )
        self.kernel_bias = nn.Parameter(torch.empty(num_kernels, out_channels, **place)) if bias else None
        self.reset_kernels()

    def reset_kernels(self) -> None:
        """Draw each kernel from kaiming_uniform (fan-in of one kernel, a = 0) and the biases as `nn.Conv2d` does."""
        for kernel in self.kernels:
            nn.init.kaiming_uniform_(kernel)
        if self.kernel_bias is not None:
            bound = 1 / math.sqrt(self.kernels[0, 0].numel())
            nn.init.uniform_(self.kernel_bias, -bound, bound)

    def reset_parameters(self) -> None:
        """Draw anew what this module itself holds; its layers have a `reset_parameters` of their own."""
        self.reset_kernels()

    @abstractmethod
    def weights(self, x: Tensor) -> Tensor:
        """Return the aggregation weights pi `[B, K]` of the samples x `[B, C, H, W]`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, O, H', W']`, shaped as `nn.Conv2d` would for x `[B, C, H, W]`."""
        return per_sample_conv2d(
            x, self.kernels, self.weights(x), self.kernel_bias, self.stride, self.padding, self.dilation, self.groups
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> KernelBankConv2d:
        """Show a bank to `to(memory_format=torch.channels_last)` as a stack of 4-D kernels: it refuses 5-D tensors."""

        def apply(t: Tensor) -> Tensor:
            return fn(t.flatten(0, 1)).unflatten(0, t.shape[:2]).contiguous() if t.dim() == 5 else fn(t)

        return super()._apply(apply, recurse)

    def extra_repr(self) -> str:
        """Return the arguments that `print` shows."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, "
            f"bias={self.kernel_bias is not None}, num_kernels={self.num_kernels}"
        )
