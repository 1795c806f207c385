"""Grad-CAM++ for segmentation networks, by MONAI: a layer's activations weighted by what they do for a class."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.visualize import GradCAMpp
from torch import Tensor, nn
from torch.nn import functional

from magicseg.errors import UserError


class ClassScore(nn.Module):
    """A segmentation network as the classifier that Grad-CAM++ is made for: images -> one number a class.

    The number is the sum of the class's logits over all pixels, less itself: it has the sum's gradient and is 0.
    Grad-CAM++ multiplies its weights by exp(score), which drops out when the map is scaled to 1 but overflows for a sum
    over thousands of pixels.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W] to scores [B, classes]."""
        total = self.model(x).sum(dim=(2, 3))
        return total - total.detach()


def class_activation(model: nn.Module, x: Tensor, layer: str, index: int) -> Tensor:
    """Return the Grad-CAM++ map [h, w] of a class in one image, from 0 to 1, at the size of the image.

    All 0 where the layer does nothing for the class. The model stays as it was.

    Args:
        model: maps images to logits.
        x: [1, C, h, w].
        layer: name of a submodule that returns features [1, channels, rows, columns]; see ``layers``.
        index: of the class among the logits.

    Raises:
        UserError: no such layer; the text names the nearest.

    Source: Chattopadhyay et al., WACV 2018; summed over pixels as in Vinogradova et al., AAAI 2020 (Seg-Grad-CAM).
    """
    _check(layer, list(layers(model, x)))
    own = _without_inplace(copy.deepcopy(model))
    with torch.enable_grad():
        explain = GradCAMpp(nn_module=ClassScore(own), target_layers=f"model.{layer}", postprocessing=_scaled)
        return explain(x.clone().requires_grad_(True), class_idx=index)[0, 0].detach()


def layers(model: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the name of each submodule that maps images ``x`` to features, with their shape [channels, rows, columns].

    They stand in the order in which they are run; one that is run several times stands where it is first.
    """
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and max(output.shape[2:]) > 1:
                found.setdefault(name, tuple(output.shape[1:]))

        return hook

    training = model.training
    handles = [module.register_forward_hook(note(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad():
            model.eval()(x)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return found


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """Return a map [h, w] on another grid [height, width], bilinearly."""
    return functional.interpolate(picture[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]


def _check(layer: str, names: Sequence[str]) -> None:
    if layer not in names:
        close = " or ".join(difflib.get_close_matches(layer, names, n=3, cutoff=0.5))
        hint = f"Did you mean {close}? " if close else ""
        raise UserError(f"Unknown layer {layer!r}. {hint}Leave layer=... out to see all {len(names)} of them.")


def _without_inplace(model: nn.Module) -> nn.Module:
    """Let no module overwrite a feature that a hook of its neighbour has handed on."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    return model


def _scaled(picture: Tensor) -> Tensor:
    return picture / picture.amax(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(picture.dtype).tiny)
