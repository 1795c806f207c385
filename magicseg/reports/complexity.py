"""Parameters and multiply-adds of a network.

Counters that hook modules (thop, ptflops) miss the functional convolutions of dynamic operators; this one sees every
operation that PyTorch carries out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torchvision.ops  # noqa: F401  registers torch.ops.torchvision.deform_conv2d
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from magicseg.convs.involution import Involution2d
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.convs.magic import MAGICConv2d
from magicseg.models.model import count_parameters


@dataclass(frozen=True)
class Complexity:
    """What one image costs in evaluation.

    Attributes:
        parameters: trainable ones.
        macs: multiply-adds of all convolutions and matrix products, mixing included. Sums, activations, pooling,
            normalisation and resizing are not counted.
        mixing: the part of `macs` that mixes banks of K kernels to one for the sample.
        thop: the cost as thop 0.1.1 sees it (`_thop_surplus`), dynamic convolutions taken for plain ones of their shape
            with attention branches: without `mixing`.
    """

    parameters: int
    macs: int
    mixing: int
    thop: int


def measure(build: Callable[[], nn.Module], channels: int, size: int) -> Complexity:
    """Return the complexity of the network that ``build`` returns, for one image [1, channels, size, size].

    Built and run with fake tensors: nothing is computed, and weights take no memory.
    """
    with FakeTensorMode(), torch.no_grad():
        model, x = build().eval(), torch.empty(1, channels, size, size)
        macs = count_macs(model, x)
        mixing = sum(map(_mixing, model.modules()))
        return Complexity(count_parameters(model), macs, mixing, macs - mixing + _thop_surplus(model, x))


def count_macs(model: nn.Module, x: Tensor) -> int:
    """Return the multiply-adds of model(x): those that PyTorch's counter knows, deformable convolution, involution.

    PyTorch counts two operations for one multiply-add. It does not know torchvision's deformable convolution, whose
    formula it gets here, nor products that are written element by element, which are added.
    """
    elementwise: list[int] = []

    def involution(module: Involution2d, _: Any, y: Tensor) -> None:
        elementwise.append(y.numel() * module.kernel_size[0] * module.kernel_size[1])

    formulas = {torch.ops.torchvision.deform_conv2d: _deformable_convolution}
    hooks = [m.register_forward_hook(involution) for m in model.modules() if isinstance(m, Involution2d)]
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        model(x)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() // 2 + sum(elementwise)


def _deformable_convolution(x: list[int], weight: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
    """Return the operations: a convolution, and four multiply-adds to interpolate each value that it samples."""
    batch, outputs, rows, columns = out_shape
    positions, taps = batch * rows * columns, weight[2] * weight[3]
    return 2 * positions * taps * (outputs * weight[1] + 4 * x[1])


def _mixing(module: nn.Module) -> int:
    """Return the multiply-adds that mix a module's banks: one for each weight of each kernel."""
    if not isinstance(module, KernelBankConv2d) or (isinstance(module, MAGICConv2d) and module.static):
        return 0
    return sum(parameter.numel() for parameter in module.parameters(recurse=False) if parameter.dim() == 5)


def _thop_surplus(model: nn.Module, x: Tensor) -> int:
    """Return what thop counts beyond the multiply-adds of convolutions.

    It takes a transposed convolution for a convolution at its output's resolution, stride times stride too often, and
    counts four operations for each value that a batch norm returns.
    """
    surplus: list[int] = []

    def transposed(module: nn.ConvTranspose2d, inputs: tuple[Tensor], y: Tensor) -> None:
        weights = module.weight[0].numel()
        as_convolution = y.numel() * module.weight[:, 0].numel() // module.groups
        surplus.append(as_convolution - inputs[0].numel() * weights)

    def batch_norm(module: nn.Module, inputs: Any, y: Tensor) -> None:
        surplus.append(4 * y.numel())

    rules = ((nn.ConvTranspose2d, transposed), (_BatchNorm, batch_norm))
    hooks = [m.register_forward_hook(rule) for m in model.modules() for kind, rule in rules if isinstance(m, kind)]
    model(x)
    for hook in hooks:
        hook.remove()
    return sum(surplus)
