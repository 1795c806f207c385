from __future__ import annotations

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convs import convolve_each, geometries, randomise, silent_parameters, split
from torch import nn
from torch.nn import functional

from magicseg.convs.condconv import CondConv2d

OPTIONS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")


def from_config(config):
    return CondConv2d(**{key: config[key] for key in OPTIONS}, num_kernels=config["K"])


@pytest.mark.parametrize("path", golden_files("condconv"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, from_config)


@settings(max_examples=25, deadline=None)
@given(geometries(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_equals_the_sum_of_weighted_convolutions(geometry, kernels, batch, seed):
    torch.manual_seed(seed)
    module = randomise(CondConv2d(**geometry, num_kernels=kernels))
    x = torch.randn(batch, geometry["in_channels"], 7, 6, dtype=torch.float64)
    pi = 1 / (1 + (-(x.mean((2, 3)) @ module.routing.weight.T + module.routing.bias)).exp())
    expected = 0
    for k in range(kernels):  # eq. 1 of the paper: experts convolve, then their outputs are summed
        bias = module.kernel_bias[k] if geometry["bias"] else None
        each = convolve_each(x, module.kernels[k].expand(batch, -1, -1, -1, -1), bias=bias, **split(geometry))
        expected = expected + pi[:, k, None, None, None] * each
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(module.weights(x), pi)


def test_experts_start_as_static_convolutions():
    torch.manual_seed(0)
    module = CondConv2d(64, 64, 3)
    static = nn.Conv2d(64, 64, 3)
    assert module.kernels.shape[0] == 8
    assert module.kernels.std().item() == pytest.approx(0.0241, abs=1e-4)  # 0.0030 with the experts in the fan-in
    assert module.kernels.std().item() == pytest.approx(static.weight.std().item(), rel=0.02)
    for kernel in module.kernels:
        assert kernel.abs().max() <= 1 / 24
    assert module.kernel_bias.abs().max() <= 1 / 24
    assert module.kernel_bias.std() > 0.5 * static.bias.std()


def test_equal_experts_are_a_static_convolution_scaled_by_the_sum_of_weights():
    module = randomise(CondConv2d(5, 4, 3, padding=1, bias=False))
    with torch.no_grad():
        module.kernels[:] = module.kernels[0].clone()
    x = torch.randn(3, 5, 6, 7, dtype=torch.float64)
    static = functional.conv2d(x, module.kernels[0], padding=1)
    torch.testing.assert_close(module(x), static * module.weights(x).sum(1)[:, None, None, None])


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    assert silent_parameters(CondConv2d(8, 6, 3), torch.randn(2, 8, 6, 6)) == set()


def test_refuses():
    with pytest.raises(ValueError, match=r"num_kernels must be an integer >= 1, not 0"):
        CondConv2d(8, 6, 3, num_kernels=0)
    with pytest.raises(ValueError, match=r"x must be \[B, 8, H, W\], not \[8, 5, 5\]"):
        CondConv2d(8, 6, 3)(torch.zeros(8, 5, 5))
