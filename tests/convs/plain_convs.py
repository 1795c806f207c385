"""Plain derivations that the tests of several operators compare with."""

from __future__ import annotations

import torch
from hypothesis import strategies
from torch.nn import functional


def convolve_each(x, kernels, **geometry):
    """Convolve sample b of x with kernels[b], one sample after the other."""
    return torch.cat([functional.conv2d(x[b : b + 1], kernels[b], **geometry) for b in range(len(x))])


def silent_parameters(module, x):
    """Return the names of the parameters that get no gradient, or a zero one, from a training call."""
    module.train()(x).square().sum().backward()
    return {name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}


def randomise(module):
    """Draw every parameter from a normal distribution, so that no term of an equation is zero; float64."""
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.normal_()
    return module


@strategies.composite
def geometries(draw, groups=(1, 2)):
    """Draw arguments of nn.Conv2d: odd and even sizes, rectangles, groups."""
    g = draw(strategies.sampled_from(groups))
    sides = strategies.tuples(strategies.integers(1, 3), strategies.integers(1, 3))
    return {
        "in_channels": g * draw(strategies.integers(1, 4)),
        "out_channels": g * draw(strategies.integers(1, 3)),
        "kernel_size": draw(sides),
        "stride": draw(strategies.integers(1, 2)),
        "padding": draw(strategies.tuples(strategies.integers(0, 2), strategies.integers(0, 2))),
        "dilation": draw(strategies.integers(1, 2)),
        "groups": g,
        "bias": draw(strategies.booleans()),
    }


def split(geometry):
    """Return the arguments of functional.conv2d among those of nn.Conv2d."""
    return {name: geometry[name] for name in ("stride", "padding", "dilation", "groups")}
