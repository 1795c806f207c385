"""MAGIC: multi-dimensional aggregation dynamic convolution (ACM MM 2024, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs.checks import check_at_least, check_input, check_temperature
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.convs.pointwise import Pointwise
from magicseg.ops.batch_norm import batch_norm_vectors
from magicseg.ops.dimension_pooling import pool_dimensions, pool_maximum
from magicseg.ops.per_sample_conv import Padding, Size


class MAGICConv2d(KernelBankConv2d):
    """MAGIC convolution, a stand-in for `nn.Conv2d`.

    Dimensional-reciprocal fusion (eq. 3-9) describes the sample from three sides, kernel recalculation (eq. 10-11)
    lets the K kernels weigh each other, and every sample is convolved with its own mixture of the K kernels.

    The paper and the code that its authors released differ; `form` chooses:

    | | `paper` | `released` |
    |---|---|---|
    | weights pi | softmax(beta) * phi(beta) (eq. 9-10) | softmax(beta * phi(beta) / 30), sum to one |
    | K = 1 | pi = phi(beta): dynamic | pi = 1: exactly a static convolution, its attention is frozen |
    | L_v of eq. 7 | bottleneck of 2C channels (Table 5's parameters) | of C/2 channels |
    | its LayerNorm | without scale and shift (Table 5) | with |
    | bias at the start | uniform as in `nn.Conv2d` | normal with standard deviation 1 |
    | attention at the start | as `nn.Linear` (the paper is silent) | kaiming_normal, fan-out |

    With the released start and the paper's temperature of 1 the logits run into the hundreds, softmax picks one kernel
    for every sample, and the others never learn.

    Any number of channels works: for odd C the replication of eq. 4 (means to even, maxima to odd channels) simply ends
    early, and the hidden layers keep at least one unit. In training, a batch of one uses the running statistics of
    kernel recalculation's BatchNorm. The bias of `mask` has gradient zero: a softmax ignores a constant.

    Args:
        in_channels: C; this and the following up to `dtype` as in `nn.Conv2d`.
        num_kernels: K.
        form: "paper" or "released".
        ratio: reduction of the hidden layer of eq. 8 (C / ratio units); the paper gives none, the released code 8.
        temperature: divides the logits before the softmax; None means the form's own (1 or 30).
        context_channels: width of the bottleneck of L_v; None means the form's own.
        context_affine: whether its LayerNorm has scale and shift; None means the form's own.
        spatial: use beta_s (eq. 4); with `channel` and `non_local` the ablation of Table 6. With all three off the
            weights no longer depend on x.
        channel: use beta_c (eq. 3).
        non_local: use beta_g (eq. 7).
        recalculation: use phi (eq. 11); the ablation of Table 7.

    Raises:
        ValueError: an argument without meaning; the text names the legal values.
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
        form: Literal["paper", "released"] = "paper",
        ratio: int = 8,
        temperature: float | None = None,
        context_channels: int | None = None,
        context_affine: bool | None = None,
        spatial: bool = True,
        channel: bool = True,
        non_local: bool = True,
        recalculation: bool = True,
    ) -> None:
        if form not in ("paper", "released"):
            raise ValueError(f"form must be 'paper' or 'released', not {form!r}.")
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, **place,
            num_kernels=num_kernels,
        )  # fmt: skip
        released = form == "released"
        if temperature is None:
            temperature = 30.0 if released else 1.0
        if context_channels is None:
            context_channels = max(1, in_channels // 2) if released else 2 * in_channels
        if context_affine is None:
            context_affine = released
        check_at_least(1, ratio=ratio, context_channels=context_channels)

        self.form, self.temperature = form, check_temperature(temperature)
        self.spatial, self.channel, self.non_local = spatial, channel, non_local
        self.static = released and num_kernels == 1
        self.recalculation = recalculation and not self.static
        linear = partial(Pointwise, init="fan_out" if released else "fan_in", **place)
        if non_local:
            self.ctx_norm = nn.LayerNorm((context_channels, 1, 1), elementwise_affine=context_affine, **place)
            self._build_context(context_channels, linear)
        self._build_logits(ratio, linear)
        if self.recalculation:
            self.kr_norm = nn.BatchNorm1d(max(1, num_kernels // 2), **place)
            self._build_recalculation(linear)
        if self.static:
            for layer in self.children():
                layer.requires_grad_(False)
        self._reset_released_bias()

    def reset_parameters(self) -> None:
        """Draw kernels and biases anew, in the way of the form."""
        super().reset_parameters()
        self._reset_released_bias()

    def _reset_released_bias(self) -> None:
        if self.form == "released" and self.kernel_bias is not None:
            nn.init.normal_(self.kernel_bias)

    def _build_context(self, width: int, linear: Callable[..., Pointwise]) -> None:
        self.mask = linear(self.in_channels, 1)
        self.ctx_reduce = linear(self.in_channels, width)
        self.ctx_expand = linear(width, self.in_channels)

    def _build_logits(self, ratio: int, linear: Callable[..., Pointwise]) -> None:
        hidden = max(1, self.in_channels // ratio)
        self.squeeze = linear(self.in_channels, hidden, bias=False)
        self.logits = linear(hidden, self.num_kernels, bias=False)

    def _build_recalculation(self, linear: Callable[..., Pointwise]) -> None:
        hidden = max(1, self.num_kernels // 2)
        self.kr_reduce = linear(self.num_kernels, hidden, bias=False)
        self.kr_expand = linear(hidden, self.num_kernels, bias=False)

    def weights(self, x: Tensor) -> Tensor:
        """Return pi `[B, K]`, the weights of the K kernels for the samples x `[B, C, H, W]` (eq. 3-11)."""
        check_input(x, self.in_channels)
        if self.static:
            return x.new_ones(x.shape[0], 1)
        beta = self.logits(functional.relu(self.squeeze(self._fuse_dimensions(x))))
        phi = self._recalculate(beta) if self.recalculation else 1.0
        if self.form == "released":
            return functional.softmax(beta * phi / self.temperature, dim=1)
        return functional.softmax(beta / self.temperature, dim=1) * phi

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, O, H', W']`, shaped as `nn.Conv2d` would for x `[B, C, H, W]`."""
        if not self.static:
            return super().forward(x)
        # squeeze, as the gradient of an index would be written into a bank of zeros
        kernel, bias = self.kernels.squeeze(0), None if self.kernel_bias is None else self.kernel_bias.squeeze(0)
        return functional.conv2d(x, kernel, bias, self.stride, self.padding, self.dilation, self.groups)

    def _fuse_dimensions(self, x: Tensor) -> Tensor:
        """Return beta_c + beta_s + beta_g `[B, C]` (eq. 3, 4, 7)."""
        if self.non_local:
            mean, maximum, context = pool_dimensions(x, self.mask.weight, self.mask.bias)
            beta = self._beta_g(context)
        else:
            mean, maximum = x.mean((2, 3)), pool_maximum(x)
            beta = torch.zeros_like(mean)
        if self.channel:
            beta = beta + mean
        return beta + self._beta_s(mean, maximum) if self.spatial else beta

    def _beta_s(self, mean: Tensor, maximum: Tensor) -> Tensor:
        """Replicate the means of the two pooled maps over the channels (eq. 4): the mean of a copy is the mean."""
        both = torch.stack([mean.mean(1), maximum], dim=1)
        return both.repeat(1, (self.in_channels + 1) // 2)[:, : self.in_channels]

    def _beta_g(self, context: Tensor) -> Tensor:
        """Apply L_v to the pooled context `[B, C]` (eq. 7), as the bottleneck that the released code makes of it."""
        reduced = self.ctx_norm(self.ctx_reduce(context)[:, :, None, None]).flatten(1)
        return self.ctx_expand(functional.gelu(reduced))

    def _recalculate(self, beta: Tensor) -> Tensor:
        """Return phi(beta) `[B, K]` (eq. 11)."""
        reduced = batch_norm_vectors(self.kr_norm, self.kr_reduce(beta))
        return torch.sigmoid(self.kr_expand(functional.relu(reduced)))
