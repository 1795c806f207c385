"""Which convolutions of a ResNet become the convolution to compare."""

from __future__ import annotations

from torch import nn

from magicseg.models.model import Conv

SCOPES = {"encoder_3x3": [(3, 3)], "encoder_all": [(3, 3), (1, 1)]}
"""Kernel sizes by scope."""


def exchange_convs(resnet: nn.Module, conv: Conv, scope: str) -> None:
    """Exchange the scope's convolutions of timm's ``layer1`` to ``layer4`` in place; the stem stays static.

    nn.Conv2d itself keeps the network's present weights.
    """
    for name, module in list(resnet.named_modules()):
        if name.startswith("layer") and isinstance(module, nn.Conv2d) and module.kernel_size in SCOPES[scope]:
            resnet.set_submodule(name, _replacement(module, conv))


def _replacement(static: nn.Conv2d, conv: Conv) -> nn.Module:
    new = conv(static.in_channels, static.out_channels, static.kernel_size, static.stride, static.padding, bias=False)
    if type(new) is nn.Conv2d:
        new.weight = static.weight
    return new
