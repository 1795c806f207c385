"""DYConv: dynamic convolution, attention over convolution kernels (Chen et al., CVPR 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs.checks import check_input, check_positive_number, check_temperature
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.convs.pointwise import Pointwise
from magicseg.ops.per_sample_conv import Padding, Size


class DYConv2d(KernelBankConv2d):
    """DYConv, a stand-in for `nn.Conv2d`: K kernels weighted by pi = softmax(FC(ReLU(FC(mean(x)))) / temperature).

    Each kernel has a bias of its own, zero at the start. The paper lowers the temperature during training
    (`magicseg.convs.temperature`).

    Args:
        in_channels: C; this and the following up to `dtype` as in `nn.Conv2d`.
        num_kernels: K.
        reduction_ratio: the hidden layer has int(C * reduction_ratio) + 1 units, or K units for C = 3.
        temperature: divides the logits before the softmax.

    Raises:
        ValueError: an argument without meaning; the text names the legal values.

    Source: eq. 2-3; hidden width and start as in kaijieshi7/Dynamic-convolution-Pytorch.
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
        num_kernels: int = 4,
        reduction_ratio: float = 0.25,
        temperature: float = 34.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            num_kernels=num_kernels,
        )  # fmt: skip
        check_positive_number(reduction_ratio=reduction_ratio)
        self.temperature = check_temperature(temperature)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        hidden = num_kernels if in_channels == 3 else int(in_channels * reduction_ratio) + 1
        self.squeeze = Pointwise(in_channels, hidden, bias=False, **place)
        self.logits = Pointwise(hidden, num_kernels, **place)

    def reset_kernels(self) -> None:
        """Draw each kernel from kaiming_uniform; set the biases to zero."""
        super().reset_kernels()
        if self.kernel_bias is not None:
            nn.init.zeros_(self.kernel_bias)

    def weights(self, x: Tensor) -> Tensor:
        """Return pi `[B, K]`, each row summing to one, for the samples x `[B, C, H, W]` (eq. 3)."""
        check_input(x, self.in_channels)
        logits = self.logits(functional.relu(self.squeeze(x.mean((2, 3)))))
        return functional.softmax(logits / self.temperature, dim=1)
