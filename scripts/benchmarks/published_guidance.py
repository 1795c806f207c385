"""The published forms of SGDC and SGE, step by step as their authors compute them: what magicseg is timed against."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.guidance import SGDC, SGE
from magicseg.ops.sobel import edge_modulation
from magicseg.ops.spatially_varying_filter import spatially_varying_filter

SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


class Case(NamedTuple):
    """Two callables of the same inputs that return the same values; all inputs take gradients."""

    published: Callable[..., Any]
    ours: Callable[..., Any]
    inputs: tuple[Tensor, ...]


def cases() -> dict[str, Callable[[], Case]]:
    """Return a builder of each comparison; it draws parameters and inputs from torch's global generator."""
    return {
        "dynamic branch of SGDC": dynamic_branch_case,
        "SGDC": sgdc_case,
        "Sobel step of SGE": sobel_case,
        "SGE": sge_case,
    }


def dynamic_branch_case() -> Case:
    """Softmax and filter alone: 64 channels, 64 x 64, 4 heads, kernel 7."""
    return Case(published_filter, spatially_varying_filter, (_input(1, 64, 64, 64), _input(1, 4, 49, 64, 64)))


def sgdc_case() -> Case:
    """The whole released block: 64 channels, 64 x 64, 4 heads, kernel 7."""
    block = SGDC(64, form="released")
    return Case(PublishedSGDC(block), block, (_input(1, 64, 64, 64), _input(1, 16, 64, 64)))


def sobel_case() -> Case:
    """Eq. 1 with the dense Sobel kernel: 256 channels, 32 x 32, batch 2."""
    return Case(DenseSobel(256), partial(edge_modulation, shared=True), (_input(2, 256, 32, 32),))


def sge_case() -> Case:
    """The whole released SGE: 2048 channels at 8 x 8 and 256 at 32 x 32, batch 2."""
    sge = SGE(form="released")
    return Case(PublishedSGE(sge), sge, (_input(2, 2048, 8, 8), _input(2, 256, 32, 32)))


def _input(*shape: int) -> Tensor:
    return torch.randn(shape, requires_grad=True)


def published_filter(x: Tensor, logits: Tensor) -> Tensor:
    """Unfold x `[B, C, H, W]`, softmax the logits `[B, heads, k*k, H, W]`, sum by einsum, fold."""
    heads, taps = logits.shape[1:3]
    k, size = round(taps**0.5), x.shape[-2:]
    patches = functional.unfold(x, k, padding=k // 2).unflatten(1, (heads, -1, taps))
    y = torch.einsum("bhctn,bhtn->bhcn", patches, logits.flatten(3).softmax(2))
    return functional.fold(y.flatten(1, 2), size, kernel_size=1)


class PublishedSGDC(nn.Module):
    """The released SGDC's steps on the parameters of an `SGDC(form="released")`."""

    def __init__(self, block: SGDC) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Return the refined x."""
        p: Any = self.block
        guidance = functional.interpolate(guidance, x.shape[-2:], mode="bilinear", align_corners=False)
        gate1, gate2, kernel = p.head(x + p.guide_proj(guidance)).split(p.widths, dim=1)
        local = p.dwconv(x * gate1.sigmoid())
        filtered = published_filter(_layer_norm(p.norm1, x), kernel.unflatten(1, (p.num_heads, -1)))
        x = x + p.scale1[:, None, None] * (local + filtered * gate2.sigmoid())
        hidden = functional.gelu(p.ffn_in(_layer_norm(p.norm2, x)))
        return x + p.scale2[:, None, None] * p.ffn_out(hidden)


def _layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    normalised = functional.layer_norm(x.permute(0, 2, 3, 1), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return normalised.permute(0, 3, 1, 2)


class PublishedSGE(nn.Module):
    """The released SGE's steps on the parameters of an `SGE(form="released")`."""

    def __init__(self, sge: SGE) -> None:
        super().__init__()
        self.sge = sge
        self.modulate = DenseSobel(sge.fuse.in_channels // 2)

    def forward(self, deep: Tensor, shallow: Tensor) -> tuple[Tensor, Tensor]:
        """Return edge logits and guidance."""
        p: Any = self.sge
        deep = self.modulate(functional.relu(p.deep_proj_norm(p.deep_proj(deep))))
        shallow = self.modulate(functional.relu(p.shallow_proj_norm(p.shallow_proj(shallow))))
        deep = functional.relu(deep + p.deep_refine(deep))
        shallow = functional.relu(shallow + p.shallow_refine(shallow))
        deep = functional.interpolate(deep, shallow.shape[-2:], mode="bilinear", align_corners=False)
        fused = functional.relu(p.fuse_norm(p.fuse(torch.cat([deep, shallow], dim=1))))
        return p.edge_head(fused), p.guidance_head(fused)


class DenseSobel(nn.Module):
    """Eq. 1 with frozen kernels that hold the Sobel kernel for every pair of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kx = nn.Parameter(SOBEL.repeat(channels, channels, 1, 1), requires_grad=False)
        self.ky = nn.Parameter(SOBEL.T.repeat(channels, channels, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the sigmoid of its gradient's magnitude."""
        gx = functional.conv2d(x, self.kx, padding=1)
        gy = functional.conv2d(x, self.ky, padding=1)
        return torch.sigmoid(torch.sqrt(gx.pow(2) + gy.pow(2))) * x
