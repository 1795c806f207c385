"""SGE, the structure guidance extractor: an edge map and a guidance feature from a deep and a shallow feature."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.guidance.checks import check_choice, check_positive
from magicseg.guidance.layers import resize_like
from magicseg.ops.sobel import edge_modulation

Form = Literal["paper", "released"]


class SGE(nn.Module):
    """Extract an edge map, to be supervised, and a guidance feature, for SGDC, from two stages of an encoder.

    Each feature is projected, multiplied by sigmoid(|G|) of its Sobel gradient G (eq. 1) and refined; the deep one is
    resized to the shallow one, both are concatenated and fused by a 3x3 convolution; two 1x1 heads follow.

    The forms differ in G. "paper" takes eq. 1 literally: every channel has its own gradient. "released" convolves
    with a dense Sobel kernel, equal in all channel pairs: G is the gradient of the sum of all channels, and all
    channels share one gate, close to 1 almost everywhere; computed here as that sum and one 3x3 filter. The
    released file keeps the dense kernels as frozen parameters (1,179,648 with 256 channels); here they are none.
    Where the text names only a projection of the deep feature and no refinement, both forms follow the released code:
    shallow features of any width can then be fused.

    A training batch of one with a 1x1 deep feature has no variance, and batch norm raises ValueError.

    Args:
        deep_in: channels of the deep feature.
        shallow_in: channels of the shallow feature.
        mid: channels of the fused feature.
        guide_ch: channels of the guidance.
        bottleneck: channels of either projected feature.
        reduction_ratio: the refinement works on bottleneck // reduction_ratio channels.
        form: "paper" or "released".

    Raises:
        ValueError: unknown form, channels below 1, or a reduction_ratio above bottleneck.

    Source: SGDC paper, section 3.2; released SGE.py of solstice0621/SGDC.
    """

    def __init__(
        self,
        deep_in: int = 2048,
        shallow_in: int = 256,
        mid: int = 256,
        guide_ch: int = 16,
        bottleneck: int = 256,
        reduction_ratio: int = 4,
        *,
        form: Form = "paper",
    ) -> None:
        super().__init__()
        check_positive(deep_in=deep_in, shallow_in=shallow_in, mid=mid, guide_ch=guide_ch)
        check_positive(bottleneck=bottleneck, reduction_ratio=reduction_ratio)
        if reduction_ratio > bottleneck:
            raise ValueError(f"reduction_ratio must be at most bottleneck={bottleneck}, not {reduction_ratio}.")
        check_choice("form", form, get_args(Form))
        self.form = form
        self.deep_proj = nn.Conv2d(deep_in, bottleneck, 1, bias=False)
        self.deep_proj_norm = nn.BatchNorm2d(bottleneck)
        self.shallow_proj = nn.Conv2d(shallow_in, bottleneck, 1, bias=False)
        self.shallow_proj_norm = nn.BatchNorm2d(bottleneck)
        self.deep_refine = _refinement(bottleneck, bottleneck // reduction_ratio)
        self.shallow_refine = _refinement(bottleneck, bottleneck // reduction_ratio)
        self.fuse = nn.Conv2d(2 * bottleneck, mid, 3, padding=1, bias=False)
        self.fuse_norm = nn.BatchNorm2d(mid)
        self.edge_head = nn.Conv2d(mid, 1, 1, bias=False)
        self.guidance_head = nn.Conv2d(mid, guide_ch, 1, bias=False)

    def forward(self, deep: Tensor, shallow: Tensor) -> tuple[Tensor, Tensor]:
        """Map deep `[B, deep_in, h, w]` and shallow `[B, shallow_in, H, W]` features to edges and guidance.

        Returns:
            edge logits `[B, 1, H, W]` (no sigmoid) and guidance `[B, guide_ch, H, W]`.
        """
        deep = functional.relu(self.deep_proj_norm(self.deep_proj(deep)))
        shallow = functional.relu(self.shallow_proj_norm(self.shallow_proj(shallow)))
        deep, shallow = (edge_modulation(x, shared=self.form == "released") for x in (deep, shallow))
        deep = functional.relu(deep + self.deep_refine(deep))
        shallow = functional.relu(shallow + self.shallow_refine(shallow))
        both = torch.cat([resize_like(deep, shallow), shallow], dim=1)
        fused = functional.relu(self.fuse_norm(self.fuse(both)))
        return self.edge_head(fused), self.guidance_head(fused)


def _refinement(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
