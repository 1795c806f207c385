"""SGDC: structure-guided dynamic convolution, a block that refines a feature with kernels made from guidance."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.guidance.checks import check_choice, check_hidden_width, check_positive
from magicseg.guidance.layers import LayerNorm2d, resize_like
from magicseg.guidance.sge import Form
from magicseg.ops.spatially_varying_filter import spatially_varying_filter

Source = Literal["guidance", "self"]

RELEASED_LAYER_SCALE = 1e-6  # at this start the released block is close to the identity


class SGDC(nn.Module):
    """Refine a feature by a dynamic and a local branch, both steered at every position by structural guidance.

    With g the guidance, resized to x and projected by a 1x1 convolution:

        gate1, gate2, kernel = head(x + g)
        x' = LayerNorm(x)                                                                   (eq. 2)
        mix = sigmoid(gate2) * sum_taps softmax(kernel) x' + DWConv(x' * sigmoid(gate1))    (eq. 3)
        out = FFN(LayerNorm(x + mix)) + (x + mix)                                           (eq. 4)

    The paper names neither heads nor kernel size nor the gates' activation; both forms have those of the released
    code. They differ where text and code contradict each other: "released" gives the raw x to the local branch and
    scales both residuals by learned vectors that start at 1e-6. The released drop path, off by default, is left out.

    Args:
        dim: C, channels of the feature, divisible by num_heads.
        guide_ch: channels of the guidance.
        num_heads: each head has a kernel of its own for dim / num_heads channels.
        kernel_size: k of the dynamic kernels, odd.
        mlp_ratio: the FFN has int(dim * mlp_ratio) hidden channels.
        form: "paper" or "released".
        source: "guidance", or "self": gates and kernels are made from x alone (Table 5, self-guidance).
        local: whether the block has its local branch (Table 5).
        dynamic: whether the block has its dynamic branch (Table 5). A branch left out leaves no parameters behind.

    Raises:
        ValueError: an argument outside these limits.

    Source: SGDC paper, section 3.3; released sgdc.py of solstice0621/SGDC.
    """

    scale1: nn.Parameter | None
    scale2: nn.Parameter | None

    def __init__(
        self,
        dim: int,
        guide_ch: int = 16,
        num_heads: int = 4,
        kernel_size: int = 7,
        mlp_ratio: float = 4.0,
        *,
        form: Form = "paper",
        source: Source = "guidance",
        local: bool = True,
        dynamic: bool = True,
    ) -> None:
        super().__init__()
        check_positive(dim=dim, guide_ch=guide_ch, num_heads=num_heads, kernel_size=kernel_size)
        hidden = check_hidden_width(dim, mlp_ratio)
        check_choice("form", form, get_args(Form))
        check_choice("source", source, get_args(Source))
        if dim % num_heads:
            raise ValueError(f"dim must be divisible by num_heads={num_heads}, but dim is {dim}.")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {kernel_size}.")
        if not (local or dynamic):
            raise ValueError("SGDC needs a branch: local=True, dynamic=True or both.")
        self.form, self.num_heads = form, num_heads
        self.widths = [dim] * local + [dim, num_heads * kernel_size**2] * dynamic
        self.guide_proj = nn.Conv2d(guide_ch, dim, 1) if source == "guidance" else None
        self.head = nn.Conv2d(dim, sum(self.widths), 1)
        self.norm1 = LayerNorm2d(dim) if dynamic or form == "paper" else nn.Identity()
        self.norm2 = LayerNorm2d(dim)
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim) if local else None
        self.ffn_in = nn.Conv2d(dim, hidden, 1)
        self.ffn_out = nn.Conv2d(hidden, dim, 1)
        for name in ("scale1", "scale2"):
            self.register_parameter(name, nn.Parameter(torch.empty(dim)) if form == "released" else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the released form's layer scales to their start; the layers have a `reset_parameters` of their own."""
        for scale in (self.scale1, self.scale2):
            if scale is not None:
                nn.init.constant_(scale, RELEASED_LAYER_SCALE)

    def forward(self, x: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Refine x `[B, dim, H, W]` by guidance `[B, guide_ch, h, w]` of any size; the result has the shape of x.

        Raises:
            ValueError: no guidance given, except with source="self", which ignores it.
        """
        signals = list(self.head(self._fuse(x, guidance)).split(self.widths, dim=1))
        x = _residual(x, self._mix(x, signals), self.scale1)
        return _residual(x, self.ffn_out(functional.gelu(self.ffn_in(self.norm2(x)))), self.scale2)

    def _fuse(self, x: Tensor, guidance: Tensor | None) -> Tensor:
        if self.guide_proj is None:
            return x
        if guidance is None:
            raise ValueError('SGDC needs a guidance [B, guide_ch, h, w]; without one, build it with source="self".')
        return x + self.guide_proj(resize_like(guidance, x))

    def _mix(self, x: Tensor, signals: list[Tensor]) -> Tensor:
        """Eq. 2 and 3; `signals` are gate1, gate2 and kernel, as far as their branches exist."""
        normalised = self.norm1(x)
        branches = []
        if self.dwconv is not None:
            gate1, *signals = signals
            branches.append(self.dwconv((x if self.form == "released" else normalised) * gate1.sigmoid()))
        if signals:
            gate2, kernel = signals
            kernel = kernel.unflatten(1, (self.num_heads, -1))
            branches.append(spatially_varying_filter(normalised, kernel) * gate2.sigmoid())
        return branches[0] if len(branches) == 1 else branches[0] + branches[1]


def _residual(x: Tensor, update: Tensor, scale: Tensor | None) -> Tensor:
    return x + update if scale is None else torch.addcmul(x, update, scale[:, None, None])
