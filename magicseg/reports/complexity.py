"""Parameters and multiply-adds of a network.

Counters that hook modules (thop, ptflops) miss the functional convolutions of dynamic operators; this one sees every
operation that PyTorch carries out, and adds the filters that differ from position to position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.convs.magic import MAGICConv2d
from magicseg.models.model import count_parameters
from magicseg.reports.complexity_rules import (
    FORMULAS,
    OVERHEAD,
    filtering_hooks,
    hooked,
    thop_hooks,
)

Size = int | Sequence[int]
"""The side of a square image, or its (height, width), in pixels."""


@dataclass(frozen=True)
class Complexity:
    """What one image costs in evaluation.

    Attributes:
        parameters: trainable ones.
        macs: multiply-adds of all convolutions, matrix products and position-wise filters, mixing included. Sums,
            activations, pooling, normalisation and resizing are not counted.
        mixing: the part of `macs` that mixes banks of K kernels to one for the sample.
        overhead: what fvcore 0.1.5 counts beyond multiply-adds, operations of normalisation and resizing.
        thop_surplus: what thop 0.1.1 counts beyond multiply-adds in a network of convolutions.
    """

    parameters: int
    macs: int
    mixing: int
    overhead: int
    thop_surplus: int


def measure(build: Callable[[], nn.Module], channels: int, size: Size) -> Complexity:
    """Return the complexity of the network that ``build`` returns, for one image [1, channels, height, width].

    Built on the meta device and run with fake tensors: nothing is computed, and weights take no memory.
    """
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"):
        model = build().eval()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model.to_empty(device="cpu")
        x = torch.empty(1, channels, height, width)
        thop_surplus: list[int] = []
        with hooked(thop_hooks(model, thop_surplus)):
            macs, overhead = _count(model, x)
        mixing = sum(map(_mixing, model.modules()))
        return Complexity(count_parameters(model), macs, mixing, overhead, sum(thop_surplus))


def count_macs(model: nn.Module, x: Tensor) -> int:
    """Return the multiply-adds of model(x)."""
    return _count(model, x)[0]


def _count(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """Return multiply-adds, and operations of normalisation and resizing.

    PyTorch counts two operations for one multiply-add. It knows no fused attention on a CPU, so attention is computed
    by its matrix products.
    """
    filtering: list[int] = []
    counter = FlopCounterMode(display=False, custom_mapping=FORMULAS)
    with hooked(filtering_hooks(model, filtering)), sdpa_kernel(SDPBackend.MATH), counter:
        model(x)
    counts = counter.get_flop_counts().get("Global", {})
    overhead = sum(counts.get(operation, 0) for operation in OVERHEAD)
    return (counter.get_total_flops() - overhead) // 2 + sum(filtering), overhead


def _mixing(module: nn.Module) -> int:
    """Return the multiply-adds that mix a module's banks: one for each weight of each kernel."""
    if not isinstance(module, KernelBankConv2d) or (isinstance(module, MAGICConv2d) and module.static):
        return 0
    return sum(parameter.numel() for parameter in module.parameters(recurse=False) if parameter.dim() == 5)
