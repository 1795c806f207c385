"""The door to the convolution operators: names to constructors."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from magicseg.convs.condconv import CondConv2d
from magicseg.convs.dcd import DCDConv2d
from magicseg.convs.ddconv import DDConv2d
from magicseg.convs.dyconv import DYConv2d
from magicseg.convs.involution import Involution2d
from magicseg.convs.magic import MAGICConv2d
from magicseg.convs.odconv import ODConv2d
from magicseg.convs.weightnet import WeightNetConv2d
from magicseg.errors import choose
from magicseg.ops.per_sample_conv import Padding, Size

CONVS: dict[str, Callable[..., nn.Module]] = {
    "regular": nn.Conv2d,
    "magic_1x": partial(MAGICConv2d, num_kernels=1),
    "magic_2x": partial(MAGICConv2d, num_kernels=2),
    "magic_4x": partial(MAGICConv2d, num_kernels=4),
    "dyconv": DYConv2d,
    "condconv": CondConv2d,
    "dcd": DCDConv2d,
    "odconv": ODConv2d,
    "ddconv": DDConv2d,
    "involution": Involution2d,
    "weightnet": WeightNetConv2d,
}


def create_conv(
    name: str,
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int],
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    bias: bool = True,
    **options: Any,
) -> nn.Module:
    """Return the convolution called ``name``; the other arguments are `nn.Conv2d`'s, ``options`` the operator's own.

    Example:
        >>> create_conv("magic_4x", 64, 128, 3, stride=2, padding=1, bias=False)  # doctest: +ELLIPSIS
        MAGICConv2d(...)

    Raises:
        UserError: no operator has this name; the text gives the nearest ones.
        ValueError: the operator cannot have these arguments.
        TypeError: the operator has no such option.
    """
    build = CONVS[choose("convolution", name, CONVS)]
    return build(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, **options)


def list_convs(pattern: str = "*") -> list[str]:
    """Return the names of the operators that match a shell pattern such as ``"magic*"``, sorted."""
    return sorted(fnmatch.filter(CONVS, pattern))
