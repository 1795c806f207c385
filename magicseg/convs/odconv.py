"""ODConv: omni-dimensional dynamic convolution (Li et al., ICLR 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs.checks import check_at_least, check_input, check_positive_number, check_temperature
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.convs.pointwise import Pointwise
from magicseg.ops.batch_norm import batch_norm_vectors
from magicseg.ops.per_sample_conv import Padding, Size, conv2d_own_kernel, mix_kernels


class ODConv2d(KernelBankConv2d):
    """ODConv, a stand-in for `nn.Conv2d`: attention over inputs, outputs, kernel positions and kernels.

    y = a_f * conv(a_c * x, a_s * sum_k a_w,k W_k), where a_c, a_f and a_s are sigmoids and a_w is a softmax of
    FC(ReLU(BN(FC(mean(x))))) / temperature. An attention that could not matter is left out: a_f of a depthwise
    convolution, a_s of a 1x1 convolution, a_w of one kernel. In training, a batch of one uses BN's running statistics.

    The published operator has no bias; here `bias=True` adds one per kernel, mixed by a_w. The published training
    lowers the temperature from 30 to 1 (`magicseg.convs.temperature`).

    Args:
        in_channels: C; this and the following up to `dtype` as in `nn.Conv2d`.
        num_kernels: K.
        reduction: the hidden layer has int(C * reduction) units ...
        min_hidden: ... and at least so many.
        temperature: divides the logits of all four attentions.

    Raises:
        ValueError: an argument without meaning; the text names the legal values.

    Source: eq. 3 and section 3.2; OSVAI/ODConv.
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
        reduction: float = 1 / 16,
        min_hidden: int = 16,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            num_kernels=num_kernels,
        )  # fmt: skip
        check_at_least(1, min_hidden=min_hidden)
        check_positive_number(reduction=reduction)
        self.temperature = check_temperature(temperature)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        hidden = max(int(in_channels * reduction), min_hidden)
        positions = self.kernel_size[0] * self.kernel_size[1]
        depthwise = in_channels == out_channels == groups
        self.squeeze = Pointwise(in_channels, hidden, bias=False, **place)
        self.squeeze_norm = nn.BatchNorm1d(hidden, **place)
        self.att_in = Pointwise(hidden, in_channels, **place)
        self.att_out = None if depthwise else Pointwise(hidden, out_channels, **place)
        self.att_spatial = Pointwise(hidden, positions, **place) if positions > 1 else None
        self.att_kernel = Pointwise(hidden, num_kernels, **place) if num_kernels > 1 else None

    def reset_kernels(self) -> None:
        """Draw each kernel from kaiming_normal (fan-out of one kernel); a bias as `nn.Conv2d` does."""
        super().reset_kernels()
        for kernel in self.kernels:
            nn.init.kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu")

    def weights(self, x: Tensor) -> Tensor:
        """Return a_w `[B, K]`, each row summing to one, for the samples x `[B, C, H, W]`."""
        return self._kernel_attention(self._describe(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, O, H', W']`, shaped as `nn.Conv2d` would for x `[B, C, H, W]`."""
        z = self._describe(x)
        a_w = self._kernel_attention(z)
        x = x * self._gate(self.att_in, z)[:, :, None, None]
        kernels = mix_kernels(self.kernels, a_w)
        if self.att_spatial is not None:
            kernels = kernels * self._gate(self.att_spatial, z).reshape(-1, 1, 1, *self.kernel_size)
        y = conv2d_own_kernel(x, kernels, None, self.stride, self.padding, self.dilation, self.groups)
        if self.att_out is not None:
            y = y * self._gate(self.att_out, z)[:, :, None, None]
        return y if self.kernel_bias is None else y + (a_w @ self.kernel_bias)[:, :, None, None]

    def _describe(self, x: Tensor) -> Tensor:
        """Return the hidden vector `[B, hidden]` from which all attentions are read."""
        check_input(x, self.in_channels)
        return functional.relu(batch_norm_vectors(self.squeeze_norm, self.squeeze(x.mean((2, 3)))))

    def _gate(self, head: Pointwise, z: Tensor) -> Tensor:
        return torch.sigmoid(head(z) / self.temperature)

    def _kernel_attention(self, z: Tensor) -> Tensor:
        if self.att_kernel is None:
            return z.new_ones(z.shape[0], 1)
        return functional.softmax(self.att_kernel(z) / self.temperature, dim=1)
