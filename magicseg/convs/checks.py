"""What an operator asks of its input and of nn.Conv2d's arguments, refused in words if it is not so."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

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
    check_positive_number(temperature=temperature)
    return float(temperature)


def check_positive_number(**values: float) -> None:
    """Raise ValueError that names the first of ``values`` that is not a positive, finite number."""
    for name, value in values.items():
        if not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"{name} must be a positive number, not {value!r}.")


def pair(name: str, value: Size, smallest: int) -> tuple[int, int]:
    """Return ``value`` as (rows, columns); raise ValueError unless it is one or two integers >= ``smallest``."""
    both = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(isinstance(side, int) and side >= smallest for side in both):
        raise ValueError(f"{name} must be an integer >= {smallest} or a pair of them, not {value!r}.")
    return both[0], both[1]


def check_at_least(smallest: int, **sizes: int) -> None:
    """Raise ValueError that names the first of ``sizes`` that is not an integer >= ``smallest``."""
    for name, value in sizes.items():
        if not isinstance(value, int) or value < smallest:
            raise ValueError(f"{name} must be an integer >= {smallest}, not {value!r}.")


def check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Raise ValueError unless ``groups`` divides both numbers of channels."""
    if in_channels % groups or out_channels % groups:
        common = math.gcd(in_channels, out_channels)
        allowed = ", ".join(str(g) for g in range(1, common + 1) if common % g == 0)
        raise ValueError(
            f"groups={groups} does not divide in_channels={in_channels} and out_channels={out_channels}. "
            f"Allowed: {allowed}."
        )


def check_padding(padding: Padding, stride: tuple[int, int]) -> None:
    """Raise ValueError for a padding word that `nn.Conv2d` would refuse."""
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ValueError(f"padding must be an integer, a pair, 'same' or 'valid', not {padding!r}.")
    if padding == "same" and stride != (1, 1):
        raise ValueError(f"padding='same' needs stride 1, not {stride}: give the padding as a number.")
