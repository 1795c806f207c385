"""MAGIC: multi-dimensional aggregation dynamic convolution (ACM MM 2024, section 3)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magicseg.convs.kernel_bank import KernelBankConv2d, check_at_least
from magicseg.convs.pointwise import Pointwise
from magicseg.ops.batch_norm import batch_norm_vectors
from magicseg.ops.global_context import attention_pool, mean_of_channel_maximum
from magicseg.ops.per_sample_conv import Padding, Size


class MAGICConv2d(KernelBankConv2d):
    """MAGIC convolution, a stand-in for `nn.Conv2d`.

    Dimensional-reciprocal fusion (eq. 3-9) describes the sample from three sides, kernel recalculation (eq. 10-11)
    lets the K kernels weigh each other, and every sample is convolved with its own mixture of the K kernels.

    The paper and the code that its authors released differ; `form` chooses:

    | | `paper` | `released` |
    |---|---|---|
    | weights pi | softmax(beta) * phi(beta) (eq. 9-10) | softmax(beta * phi(beta) / 30), sum to one |
    | K = 1 | pi = phi(beta): dynamic | pi = 1: exactly a static convolution |
    | L_v of eq. 7 | bottleneck of 2C channels (Table 5's parameters) | of C/2 channels |
    | its LayerNorm | without scale and shift (Table 5) | with |
    | bias at the start | uniform as in `nn.Conv2d` | normal with standard deviation 1 |

    Any number of channels works: for odd C the replication of eq. 4 (means to even, maxima to odd channels) simply ends
    early, and the hidden layers keep at least one unit. In training, a batch of one uses the running statistics of
    kernel recalculation's BatchNorm. The bias of `mask` never gets a gradient: a softmax ignores a constant.

    Args:
        in_channels: C; this and the following up to `dtype` as in `nn.Conv2d`.
        num_kernels: K.
        form: "paper" or "released".
        ratio: reduction of the hidden layer of eq. 8 (C / ratio units).
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
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype,
            num_kernels=num_kernels,
        )  # fmt: skip
        released = form == "released"
        C, K = in_channels, num_kernels
        self.form = form
        self.temperature = (30.0 if released else 1.0) if temperature is None else float(temperature)
        self.spatial, self.channel, self.non_local = spatial, channel, non_local
        self.recalculation = recalculation and not (released and K == 1)
        width = (max(1, C // 2) if released else 2 * C) if context_channels is None else context_channels
        check_at_least(1, ratio=ratio, context_channels=width)
        if not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, not {temperature!r}.")

        place: dict[str, Any] = {"device": device, "dtype": dtype}
        hidden = max(1, C // ratio)
        if non_local:
            self.mask = Pointwise(C, 1, **place)
            self.ctx_reduce = Pointwise(C, width, **place)
            affine = released if context_affine is None else context_affine
            self.ctx_norm = nn.LayerNorm((width, 1, 1), elementwise_affine=affine, **place)
            self.ctx_expand = Pointwise(width, C, **place)
        self.squeeze = Pointwise(C, hidden, bias=False, **place)
        self.logits = Pointwise(hidden, K, bias=False, **place)
        if self.recalculation:
            self.kr_reduce = Pointwise(K, max(1, K // 2), bias=False, **place)
            self.kr_norm = nn.BatchNorm1d(max(1, K // 2), **place)
            self.kr_expand = Pointwise(max(1, K // 2), K, bias=False, **place)
        if released and self.kernel_bias is not None:
            nn.init.normal_(self.kernel_bias)
        self.static = released and K == 1
        if self.static:
            self._attention().requires_grad_(False)

    def weights(self, x: Tensor) -> Tensor:
        """Return pi `[B, K]`, the weights of the K kernels for the samples x `[B, C, H, W]` (eq. 3-11)."""
        if x.shape[1] != self.in_channels or x.dim() != 4:
            raise ValueError(f"x must be [B, {self.in_channels}, H, W], not {list(x.shape)}.")
        beta = self.logits(F.relu(self.squeeze(self._fuse(x))))
        phi = self._recalculate(beta)
        if self.form == "released":
            return F.softmax(beta * phi / self.temperature, dim=1)
        return F.softmax(beta / self.temperature, dim=1) * phi

    def _fuse(self, x: Tensor) -> Tensor:
        """Return beta_c + beta_s + beta_g `[B, C]` (eq. 3, 4 and 7)."""
        mean = x.mean((2, 3))
        beta = mean if self.channel else torch.zeros_like(mean)
        if self.spatial:
            maximum = mean_of_channel_maximum(x)
            beta = (
                beta
                + torch.stack([mean.mean(1), maximum], 1).repeat(1, (self.in_channels + 1) // 2)[:, : self.in_channels]
            )
        if self.non_local:
            context = self.ctx_reduce(attention_pool(x, self.mask.weight, self.mask.bias))
            beta = beta + self.ctx_expand(F.gelu(self.ctx_norm(context[:, :, None, None]).flatten(1)))
        return beta

    def _recalculate(self, beta: Tensor) -> Tensor | float:
        """Return phi(beta) `[B, K]` (eq. 11), or 1 without kernel recalculation."""
        if not self.recalculation:
            return 1.0
        return torch.sigmoid(self.kr_expand(F.relu(batch_norm_vectors(self.kr_norm, self.kr_reduce(beta)))))
