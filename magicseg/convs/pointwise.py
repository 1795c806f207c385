"""The fully connected layer of attention branches."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class Pointwise(nn.Module):
    """A 1x1 convolution for pooled vectors: `[..., in_features] -> [..., out_features]`.

    The weight has the shape `[out, in, 1, 1]` in which the dynamic convolutions' authors store it. It is no
    `nn.Conv2d`, so that a network's own initialisation or a replacement of all convolutions passes it by.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        init: Literal["fan_out", "fan_in"] = "fan_out",
    ) -> None:
        super().__init__()
        self.init = init
        self.weight = nn.Parameter(torch.empty(out_features, in_features, 1, 1, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw from kaiming_normal (fan-out, ReLU) with zero bias, or, with init="fan_in", as `nn.Linear` does."""
        if self.init == "fan_out":
            nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
            bound = 0.0
        else:
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
            bound = 1 / math.sqrt(self.weight.shape[1])
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, v: Tensor) -> Tensor:
        """Return `[..., out_features]` for vectors v `[..., in_features]`."""
        return functional.linear(v, self.weight.flatten(1), self.bias)

    def extra_repr(self) -> str:
        """Return the arguments that `print` shows."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"
