"""Grad-CAM++ for segmentation networks, by MONAI: a layer's activations weighted by what they do for a class."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.visualize import GradCAMpp, ModelWithHooks
from torch import Tensor, nn

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


class WatchedLayer(ModelWithHooks):
    """MONAI's record of a layer's activation and gradient, by hooks on the tensor instead of the module.

    Hooks on the module refuse layers whose output is changed in place later (a ReLU, a residual sum) and know no
    gradient for those that have no part in the prediction; here that is 0.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(ClassScore(model), f"model.{layer}", register_forward=True)
        self.register_backward = True

    def forward_hook(self, name: str) -> Callable[..., Tensor]:
        """Return what is called with the layer's output, and hands on a copy of it."""

        def watch(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            self.activations[name] = output.contiguous()
            self.gradients[name] = torch.zeros_like(self.activations[name])
            output.register_hook(lambda gradient: self.gradients.update({name: gradient.contiguous()}))
            return output.clone()

        return watch


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
    watched = WatchedLayer(copy.deepcopy(model), layer)
    with torch.enable_grad():
        explain = GradCAMpp(watched, target_layers="", postprocessing=_scaled)  # type: ignore[arg-type]
        return explain(x.clone().requires_grad_(True), class_idx=index)[0, 0].detach()


def layers(model: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the name of each submodule that returns features of images ``x``, with their [channels, rows, columns].

    Rows and columns are in the proportion of the image's; attention within [heads, tokens, channels] is no feature.
    The order is that in which they are run.
    """
    proportion = x.shape[2] / x.shape[3]
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor) or output.ndim != 4:
                return
            rows, columns = output.shape[2:]
            if min(rows, columns) > 1 and math.isclose(rows / columns, proportion, rel_tol=0.1):
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


def _check(layer: str, names: Sequence[str]) -> None:
    if layer not in names:
        close = " or ".join(difflib.get_close_matches(layer, names, n=3, cutoff=0.5))
        hint = f"Did you mean {close}? " if close else ""
        raise UserError(f"Unknown layer {layer!r}. {hint}Leave layer=... out to see all {len(names)} of them.")


def _scaled(picture: Tensor) -> Tensor:
    return picture / picture.amax(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(picture.dtype).tiny)
