"""The place between encoder and decoder: refine a pyramid of features by structural guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from magicseg.guidance.checks import check_choice, check_positive
from magicseg.guidance.contmix import ContMix
from magicseg.guidance.layers import resize_like
from magicseg.guidance.sgdc import SGDC
from magicseg.guidance.sge import SGE, Form

Mode = Literal["none", "add", "contmix", "sgdc"]


class GuidedPyramid(nn.Module):
    """Refine an encoder's features: the four rows of SGDC Table 4.

    SGE reads the shallowest and the deepest feature; its guidance refines all but the deepest.

    "none" (row 1) hands the features on and has neither SGE nor edges; "add" (row 2) adds the guidance;
    "contmix" (row 3) adds it and mixes the sum by ContMix; "sgdc" (row 4) refines by SGDC. The paper does not say how
    16 channels are added to features that have more, nor how ContMix takes its guidance; here a 1x1 convolution
    projects the guidance to the channels of each feature before it is added.

    Args:
        channels: of the features, shallow to deep.
        mode: "none", "add", "contmix" or "sgdc".
        form: "paper" or "released", of SGE and SGDC.
        guide_ch: channels of the guidance.
        sge: further arguments of SGE, e.g. {"bottleneck": 64}.
        block: further arguments of SGDC or ContMix, e.g. {"source": "self"} for a row of Table 5.

    Raises:
        ValueError: unknown mode, fewer than two features, or an argument that SGE, SGDC or ContMix refuses.
        TypeError: an argument that they do not know; "add" knows none in `block`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        mode: Mode = "sgdc",
        *,
        form: Form = "paper",
        guide_ch: int = 16,
        sge: Mapping[str, Any] | None = None,
        block: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_choice("mode", mode, get_args(Mode))
        self.mode = mode
        if mode == "none":
            return
        if len(channels) < 2:
            raise ValueError(f"Guidance needs a shallow and a deep feature, but channels is {list(channels)}.")
        shallow, *_, deep = channels
        self.sge = SGE(deep, shallow, guide_ch=guide_ch, form=form, **(sge or {}))
        options = dict(block or {})
        if mode == "sgdc":
            options["form"] = form
        kind = {"add": AddGuidance, "contmix": ContMixGuidance, "sgdc": SGDC}[mode]
        self.blocks = nn.ModuleList(kind(dim, guide_ch, **options) for dim in channels[:-1])

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor | None]:
        """Map features `[B, C_i, H_i, W_i]`, shallow to deep, to refined features of the same shapes and edge logits.

        The edge logits `[B, 1, H_0, W_0]` have the size of the shallowest feature; None with mode "none".
        """
        if self.mode == "none":
            return list(features), None
        edge, guidance = self.sge(features[-1], features[0])
        refined = [block(x, guidance) for block, x in zip(self.blocks, features[:-1], strict=True)]
        return [*refined, features[-1]], edge


class AddGuidance(nn.Module):
    """Add the guidance, resized to the feature `[B, dim, H, W]` and projected to its channels (SGDC Table 4, row 2)."""

    def __init__(self, dim: int, guide_ch: int = 16) -> None:
        super().__init__()
        check_positive(dim=dim, guide_ch=guide_ch)
        self.guide_proj = nn.Conv2d(guide_ch, dim, 1)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Return a map of the shape of x; guidance is `[B, guide_ch, h, w]`."""
        return x + self.guide_proj(resize_like(guidance, x))


class ContMixGuidance(AddGuidance):
    """Add the guidance, then mix by ContMix, whose arguments are `options` (SGDC Table 4, row 3)."""

    def __init__(self, dim: int, guide_ch: int = 16, **options: Any) -> None:
        super().__init__(dim, guide_ch)
        self.contmix = ContMix(dim, **options)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Return a map of the shape of x; guidance is `[B, guide_ch, h, w]`."""
        return self.contmix(super().forward(x, guidance))
