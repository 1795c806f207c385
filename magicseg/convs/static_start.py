"""Dynamic convolutions that start as a given static one: the way in for pretrained weights."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor, nn

from magicseg.convs.condconv import CondConv2d
from magicseg.convs.dcd import DCDConv2d
from magicseg.convs.ddconv import DDConv2d
from magicseg.convs.dyconv import DYConv2d
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.convs.magic import MAGICConv2d
from magicseg.convs.odconv import ODConv2d
from magicseg.convs.weightnet import WeightNetConv2d


@singledispatch
def load_static_(operator: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Make ``operator`` compute `conv2d(x, weight, bias)` for every x, in training and in evaluation, until it learns.

    How each operator gets there; what is not named keeps its random start, so that the kernels, though equal, are
    weighted differently and part from each other in training:

    | operator | weights at the start | kernels |
    |---|---|---|
    | DYConv, MAGIC (released, or without recalculation) | any: they sum to 1 | W |
    | MAGIC (paper) | last layer of eq. 11 is 0: phi = 1/2, the sum too | 2 W |
    | CondConv, DDConv | logits opposite in pairs: the K sigmoids sum to K/2 | 2 W / K |
    | ODConv | the heads of all sigmoids are 0: 1/2 each | W times 2 for each kind of sigmoid |
    | DCD | P = 0 and scale = 0: Lambda = 1 | W |
    | WeightNet | fc1 = 0: its sigmoids are 1/2 | the grouped layer makes W of them |

    DDConv's offsets are set to zero. Involution cannot: its channels do not mix. For an operator of your own,
    ``load_static_.register(YourConv2d, function)``.

    Args:
        operator: changed in place.
        weight: W `[O, C/groups, kh, kw]`.
        bias: `[O]`, or None where the operator has none.

    Raises:
        ValueError: the operator cannot become an arbitrary static convolution.
    """
    able = sorted(kind.__name__ for kind in load_static_.registry if kind is not object)
    raise ValueError(
        f"{type(operator).__name__} cannot start as an arbitrary static convolution; those that can: {', '.join(able)}."
    )


@load_static_.register(nn.Conv2d)
def _conv(operator: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> None:
    _set(operator.weight, weight)
    _set(operator.bias, bias)


@load_static_.register(DYConv2d)
def _dyconv(operator: DYConv2d, weight: Tensor, bias: Tensor | None) -> None:
    _fill(operator, weight, bias)


@load_static_.register(MAGICConv2d)
def _magic(operator: MAGICConv2d, weight: Tensor, bias: Tensor | None) -> None:
    scaled_by_phi = operator.recalculation and operator.form == "paper"
    if scaled_by_phi:
        nn.init.zeros_(operator.kr_expand.weight)
    _fill(operator, weight, bias, gain=2 if scaled_by_phi else 1)


@load_static_.register(CondConv2d)
def _condconv(operator: CondConv2d, weight: Tensor, bias: Tensor | None) -> None:
    _oppose(operator.routing)
    _fill(operator, weight, bias, gain=2 / operator.num_kernels)


@load_static_.register(DDConv2d)
def _ddconv(operator: DDConv2d, weight: Tensor, bias: Tensor | None) -> None:
    gain = 2 / operator.num_kernels
    if operator.modulation:
        gain *= 2  # the modulation of a zero logit is 1/2
    for parameter in operator.sampling_parameters():
        nn.init.zeros_(parameter)
    _oppose(operator.routing)
    _set(operator.kernels, gain * weight)
    _set(operator.bias, bias)


@load_static_.register(ODConv2d)
def _odconv(operator: ODConv2d, weight: Tensor, bias: Tensor | None) -> None:
    gates = [head for head in (operator.att_in, operator.att_out, operator.att_spatial) if head is not None]
    for head in gates:
        nn.init.zeros_(head.weight)
        _set(head.bias, torch.zeros(()))
    _fill(operator, 2 ** len(gates) * weight, bias)


@load_static_.register(DCDConv2d)
def _dcd(operator: DCDConv2d, weight: Tensor, bias: Tensor | None) -> None:
    nn.init.zeros_(operator.scale.weight)
    nn.init.zeros_(operator.proj_out.weight)
    _set(operator.static.weight, weight)
    _set(operator.proj_out.bias, bias)


@load_static_.register(WeightNetConv2d)
def _weightnet(operator: WeightNetConv2d, weight: Tensor, bias: Tensor | None) -> None:
    nn.init.zeros_(operator.fc1.weight)
    _set(operator.fc1.bias, torch.zeros(()))
    # the M / G columns keep their differences, or they would stay equal for ever
    mean = 2 / operator.fc2.shape[2] * weight.reshape(operator.fc2.shape[:2])
    _set(operator.fc2, operator.fc2 + (mean - operator.fc2.mean(2))[..., None])
    _set(operator.bias, bias)


def _fill(bank: KernelBankConv2d, weight: Tensor, bias: Tensor | None, gain: float = 1) -> None:
    """Make all K kernels and biases the same, times ``gain``."""
    _set(bank.kernels, gain * weight)
    _set(bank.kernel_bias, None if bias is None else gain * bias)


def _oppose(routing: nn.Linear) -> None:
    """Give the experts logits t and -t in pairs (0 to an odd one): sigmoid(t) + sigmoid(-t) = 1 for every sample."""
    for parameter in (routing.weight, routing.bias):
        _set(parameter, (parameter - parameter.flip(0)) / 2)


def _set(parameter: nn.Parameter | Tensor | None, value: Tensor | None) -> None:
    if parameter is not None and value is not None:
        with torch.no_grad():
            parameter.copy_(value)
