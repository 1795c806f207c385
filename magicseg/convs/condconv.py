"""CondConv: conditionally parameterised convolution (Yang et al., NeurIPS 2019)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from magicseg.convs.checks import check_input
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.ops.per_sample_conv import Padding, Size


class CondConv2d(KernelBankConv2d):
    """CondConv, a stand-in for `nn.Conv2d`: K experts weighted by pi = sigmoid(FC(mean(x))), not normalised.

    Each expert starts as an `nn.Conv2d` would (fan-in of one expert). Published code draws the whole bank with the
    experts' axis in the fan-in, which makes every kernel sqrt(O) times too small.

    Args:
        in_channels: C; this and the following up to `dtype` as in `nn.Conv2d`. Each expert has a bias of its own.
        num_kernels: K, the number of experts.

    Raises:
        ValueError: an argument without meaning; the text names the legal values.

    Source: eq. 1-2.
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
        num_kernels: int = 8,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            num_kernels=num_kernels,
        )  # fmt: skip
        self.routing = nn.Linear(in_channels, num_kernels, device=device, dtype=dtype)

    def reset_kernels(self) -> None:
        """Draw kernels and biases as `nn.Conv2d` does: uniform within 1 / sqrt(fan-in of one expert)."""
        bound = 1 / math.sqrt(self.kernels[0, 0].numel())
        for parameter in (self.kernels, self.kernel_bias):
            if parameter is not None:
                nn.init.uniform_(parameter, -bound, bound)

    def weights(self, x: Tensor) -> Tensor:
        """Return pi `[B, K]`, each entry in (0, 1), for the samples x `[B, C, H, W]` (eq. 2)."""
        check_input(x, self.in_channels)
        return torch.sigmoid(self.routing(x.mean((2, 3))))
