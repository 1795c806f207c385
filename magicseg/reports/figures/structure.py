"""What guides a network with structural guidance: its edge map and its guidance feature."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def structure_maps(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return the maps [rows, columns] of one image [1, C, h, w] that a network with guidance makes, from 0 to 1.

    "edge map" is the probability of an edge, "guidance" the length of the guidance vector at each position, divided by
    the largest. A network without guidance has none, one that makes no guidance feature (CTO) only the first.
    """
    guidance = getattr(model, "guidance", None)
    if guidance is None:
        return {}
    seen: dict[str, Any] = {}
    hooks = [guidance.register_forward_hook(lambda module, inputs, output: seen.update(pyramid=output))]
    if hasattr(guidance, "sge"):
        hooks.append(guidance.sge.register_forward_hook(lambda module, inputs, output: seen.update(sge=output)))
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(x)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    maps = {}
    if seen["pyramid"][1] is not None:
        maps["edge map"] = seen["pyramid"][1][0, 0].sigmoid()
    if "sge" in seen:
        length = seen["sge"][1][0].square().sum(dim=0).sqrt()
        maps["guidance"] = length / length.max().clamp(min=torch.finfo(length.dtype).tiny)
    return maps


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """Return a map [h, w] on another grid [height, width], bilinearly."""
    return functional.interpolate(picture[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
