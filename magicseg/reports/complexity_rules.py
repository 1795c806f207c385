"""What is counted how: operations that PyTorch's counter does not know, and what two other counters count besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from magicseg.convs.involution import Involution2d
from magicseg.guidance import SGDC, ContMix

Shape = list[int]
Formula = Callable[..., int]


@contextmanager
def hooked(handles: list[RemovableHandle]) -> Iterator[None]:
    """Remove hooks at the end of the block."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def filtering_hooks(model: nn.Module, counts: list[int]) -> list[RemovableHandle]:
    """Let a forward pass append the multiply-adds of filters that differ from position to position.

    They are written element by element, where the counter sees no sum of products: one for each tap and value.
    """

    def count(place: nn.Module, taps: float) -> RemovableHandle:
        return place.register_forward_hook(lambda _, __, y: counts.append(round(taps * y.numel())))

    return [count(*filtered) for module in model.modules() if (filtered := _filtered(module)) is not None]


def _filtered(module: nn.Module) -> tuple[nn.Module, float] | None:
    """Return the module whose output has as many values as are filtered, and the taps of each; None for no filter."""
    if isinstance(module, Involution2d):
        return module, module.kernel_size[0] * module.kernel_size[1]
    if isinstance(module, SGDC) and len(module.widths) > 1:  # more than gate1: the dynamic branch
        return module, module.widths[-1] // module.num_heads
    if isinstance(module, ContMix):  # one kernel for either half of the channels, on the map as it is when mixed
        return module.value, sum(k * k for k in module.kernel_sizes) / 2
    return None


def _sampling(*_: Any, out_shape: Shape, **__: Any) -> int:
    """Return the operations of sampling between pixels: four multiply-adds for each value."""
    return 2 * 4 * prod(out_shape)


def _batch_norm(x: Shape, weight: Shape | None, *_: Any, **__: Any) -> int:
    return prod(x) * (1 if weight is None else 2)


def _group_norm(x: Shape, weight: Shape | None, *_: Any, **__: Any) -> int:
    return prod(x) * (4 if weight is None else 5)


def _layer_norm(x: Shape, normalised: Shape, weight: Shape | None, *_: Any, **__: Any) -> int:
    return _group_norm(x, weight)


def _bilinear(*_: Any, out_shape: Shape, **__: Any) -> int:
    return 4 * prod(out_shape)


def _nearest(*_: Any, out_shape: Shape, **__: Any) -> int:
    return prod(out_shape)


def _adaptive_average(x: Shape, *_: Any, **__: Any) -> int:
    return prod(x)


OVERHEAD: dict[Any, Formula] = {
    torch.ops.aten.native_batch_norm: _batch_norm,
    torch.ops.aten.native_group_norm: _group_norm,
    torch.ops.aten.native_layer_norm: _layer_norm,
    torch.ops.aten.upsample_bilinear2d: _bilinear,
    torch.ops.aten.upsample_nearest2d: _nearest,
    torch.ops.aten._adaptive_avg_pool2d: _adaptive_average,
}
"""fvcore's rules in evaluation; it counts plain means and other pooling for nothing."""

FORMULAS: dict[Any, Formula] = {
    torch.ops.aten.grid_sampler_2d: _sampling,
    **OVERHEAD,
    **{operation.default: formula for operation, formula in OVERHEAD.items()},  # lest the counter take it to pieces
}
"""For the counter: two operations for each multiply-add of a convolution, and the overhead."""


def thop_hooks(model: nn.Module, counts: list[int]) -> list[RemovableHandle]:
    """Let a forward pass append what thop counts beyond the multiply-adds of convolutions.

    It takes a transposed convolution for a convolution at its output's resolution, stride times stride too often, and
    counts four operations for each value that a batch norm returns.
    """

    def transposed(module: nn.ConvTranspose2d, inputs: tuple[Tensor], y: Tensor) -> None:
        weights = module.weight[0].numel()
        as_convolution = y.numel() * module.weight[:, 0].numel() // module.groups
        counts.append(as_convolution - inputs[0].numel() * weights)

    def batch_norm(module: nn.Module, inputs: Any, y: Tensor) -> None:
        counts.append(4 * y.numel())

    rules = ((nn.ConvTranspose2d, transposed), (_BatchNorm, batch_norm))
    return [m.register_forward_hook(rule) for m in model.modules() for kind, rule in rules if isinstance(m, kind)]
