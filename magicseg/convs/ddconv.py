"""DDConv: dynamic deformable convolution of CiT-Net (Lei et al., IJCAI 2022)."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs.checks import check_input, pair
from magicseg.convs.condconv import CondConv2d
from magicseg.ops.deformable_conv import deformable_conv2d
from magicseg.ops.per_sample_conv import Padding, Size, mix_kernels, per_sample_conv2d


class Sampling(NamedTuple):
    """Where each output position samples x, and how strongly."""

    offset: Tensor
    """`[B, 2 * kh * kw, H', W']` in pixels: row and column of the first tap, of the second ..."""
    mask: Tensor | None
    """`[B, kh * kw, H', W']` in (0, 1), or None for 1."""


class DDConv2d(CondConv2d):
    """DDConv, a stand-in for `nn.Conv2d`: a deformable convolution whose kernel is a CondConv mixture of experts.

    A 3x3 CondConv predicts where each output position samples x (bilinear, zero outside); the experts of the main
    kernel are routed by the mean over all sampled values. Unlike the published code it is right for any kernel,
    stride, padding and dilation: the 3x3 window of the offsets has its centre on that of the main window. Offsets are
    zero at the start, weights and biases alike.

    Args:
        in_channels: C; this and the following up to `dtype` as in `nn.Conv2d`. All experts share one bias.
        experts: number of kernels, in the offsets' CondConv too.
        modulation: multiply each sampled value by a predicted factor in (0, 1) (deformable convolution v2).
        routing_dropout: dropout before the routers, in training.

    Raises:
        ValueError: an argument without meaning; the text names the legal values.

    Source: SR0920/CiT-Net, `DDConv`.
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
        experts: int = 8,
        modulation: bool = False,
        routing_dropout: float = 0.2,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, False, device, dtype,
            num_kernels=experts,
        )  # fmt: skip
        if not 0 <= routing_dropout < 1:
            raise ValueError(f"routing_dropout must be at least 0 and below 1, not {routing_dropout!r}.")
        pixels = _padding_in_pixels(padding, self.kernel_size, self.dilation)
        self.padding, self.margins = pixels, _centring_margins(self.kernel_size, pixels, self.dilation)
        self.modulation, self.routing_dropout = modulation, routing_dropout
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        taps = self.kernel_size[0] * self.kernel_size[1]
        self.bias = nn.Parameter(torch.empty(out_channels, **place)) if bias else None
        self.offset_kernels = nn.Parameter(torch.empty(experts, 2 * taps, in_channels, 3, 3, **place))
        self.offset_bias = nn.Parameter(torch.empty(2 * taps, **place))
        if modulation:
            self.mod_kernels = nn.Parameter(torch.empty(experts, taps, in_channels, 3, 3, **place))
            self.mod_bias = nn.Parameter(torch.empty(taps, **place))
        self._reset_sampling_and_bias()
        self.offset_routing = nn.Linear(in_channels, experts, **place)
        if modulation:
            self.mod_routing = nn.Linear(in_channels, experts, **place)

    def reset_parameters(self) -> None:
        """Draw kernels and bias anew and set the offsets (and the modulation's logits) to zero."""
        super().reset_parameters()
        self._reset_sampling_and_bias()

    def _reset_sampling_and_bias(self) -> None:
        if self.bias is not None:
            bound = self.kernels[0, 0].numel() ** -0.5
            nn.init.uniform_(self.bias, -bound, bound)
        for parameter in self.sampling_parameters():
            nn.init.zeros_(parameter)

    def sampling_parameters(self) -> list[nn.Parameter]:
        """Return kernels and biases of the convolutions that say where to sample; with all at zero, none is moved."""
        return [
            parameter
            for name, parameter in self.named_parameters(recurse=False)
            if name.startswith(("offset_", "mod_"))
        ]

    def weights(self, x: Tensor) -> Tensor:
        """Return pi `[B, K]`, each entry in (0, 1), for the samples x `[B, C, H, W]`."""
        return self._route(x, self.sampling(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, O, H', W']`, shaped as `nn.Conv2d` would for x `[B, C, H, W]`."""
        sampling = self.sampling(x)
        kernels = mix_kernels(self.kernels, self._route(x, sampling))
        y = self._sample(x, kernels, sampling, self.groups)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]

    def sampling(self, x: Tensor) -> Sampling:
        """Return where, and how strongly, each output position samples x `[B, C, H, W]`."""
        check_input(x, self.in_channels)
        rows_then_columns = self._mixed_conv(x, self.offset_kernels, self.offset_bias, self.offset_routing)
        offset = rows_then_columns.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)  # (row, column) of each tap
        if not self.modulation:
            return Sampling(offset, None)
        mask = torch.sigmoid(self._mixed_conv(x, self.mod_kernels, self.mod_bias, self.mod_routing))
        return Sampling(offset, mask)

    def _mixed_conv(self, x: Tensor, kernels: Tensor, bias: Tensor, routing: nn.Linear) -> Tensor:
        """Return a 3x3 CondConv of x with one output position for each of the main convolution."""
        pooled = functional.dropout(x.mean((2, 3)), self.routing_dropout, self.training)
        centred = functional.pad(x, self.margins)
        y = per_sample_conv2d(centred, kernels, torch.sigmoid(routing(pooled)), stride=self.stride)
        return y + bias[:, None, None]

    def _route(self, x: Tensor, sampling: Sampling) -> Tensor:
        """Return sigmoid(FC(mean of the sampled values)) `[B, K]`.

        FC comes before the sampling: both are linear, and K maps are fewer than C.
        """
        x = functional.dropout2d(x, self.routing_dropout, self.training)
        z = functional.conv2d(x, self.routing.weight[:, :, None, None])
        average = z.new_ones(self.num_kernels, 1, *self.kernel_size) / self.kernels[0, 0, 0].numel()
        return torch.sigmoid(self._sample(z, average, sampling, self.num_kernels).mean((2, 3)) + self.routing.bias)

    def _sample(self, x: Tensor, kernels: Tensor, sampling: Sampling, groups: int) -> Tensor:
        """Return the deformable convolution of x `[B, C, H, W]`."""
        offset, mask = sampling
        padding = cast("tuple[int, int]", self.padding)  # the constructor turned words into pixels
        return deformable_conv2d(x, kernels, offset, mask, self.stride, padding, self.dilation, groups)

    def extra_repr(self) -> str:
        """Return the convolution's arguments for `repr`."""
        return f"{super().extra_repr()}, shared_bias={self.bias is not None}, modulation={self.modulation}"


def _centring_margins(
    kernel_size: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return how far to pad (left, right, top, bottom) so that 3x3 windows lie centred on the main ones."""
    reach = [step * (side - 1) for side, step in zip(kernel_size, dilation, strict=True)]
    before = [p + 1 - r // 2 for p, r in zip(padding, reach, strict=True)]
    after = [p + 1 - (r + 1) // 2 for p, r in zip(padding, reach, strict=True)]
    return before[1], after[1], before[0], after[0]


def _padding_in_pixels(padding: Padding, kernel_size: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """Return ``padding`` as (rows, columns).

    Raises:
        ValueError: "same" for a window of even extent, which would need unequal margins.
    """
    if padding == "valid":
        return 0, 0
    if padding != "same":
        return pair("padding", padding, 0)
    reach = [step * (side - 1) for side, step in zip(kernel_size, dilation, strict=True)]
    if any(extent % 2 for extent in reach):
        raise ValueError(f"DDConv cannot have padding='same' with the even kernel_size={kernel_size}: give a number.")
    return reach[0] // 2, reach[1] // 2
