"""What an operator asks of its input and of nn.Conv2d's arguments, refused in words if it is not so."""

from __future__ import annotations

import math

from torch import Tensor

from magicseg.convs.kernel_bank import pair
from magicseg.ops.per_sample_conv import Padding, Size


def check_input(x: Tensor, in_channels: int) -> None:
    """Raise ValueError unless x is `[B, in_channels, H, W]`."""
    if x.dim() != 4 or x.shape[1] != in_channels:
        raise ValueError(f"x must be [B, {in_channels}, H, W], not {list(x.shape)}.")


def size_keeping_padding(
    operator: str, kernel_size: Size, padding: Padding, dilation: Size, groups: int
) -> tuple[int, int]:
    """Return the padding (k - 1) / 2 of operators that know no other, no dilation and no groups.

    Raises:
        ValueError: an even kernel size, another padding, dilation or groups.
    """
    sides = pair("kernel_size", kernel_size, 1)
    if any(side % 2 == 0 for side in sides):
        raise ValueError(f"{operator} needs an odd kernel_size, not {kernel_size!r}.")
    kept = (sides[0] // 2, sides[1] // 2)
    if padding != "same" and (isinstance(padding, str) or pair("padding", padding, 0) != kept):
        raise ValueError(
            f"{operator} with kernel_size={kernel_size!r} needs padding={kept} or 'same', not {padding!r}."
        )
    if pair("dilation", dilation, 1) != (1, 1):
        raise ValueError(f"{operator} has no dilation: dilation must be 1, not {dilation!r}.")
    if groups != 1:
        raise ValueError(f"{operator} has no groups: groups must be 1, not {groups!r}.")
    return kept


def check_temperature(temperature: float) -> float:
    """Return ``temperature`` as a float; raise ValueError unless it is a positive, finite number."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, not {temperature!r}.")
    return float(temperature)
