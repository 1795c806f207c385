from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plain_convs import convolve_each, geometries, randomise, silent_parameters, split
from torch import nn
from torch.nn import functional

from magicseg.convs.weightnet import WeightNetConv2d


def plain_kernel(module, sample, M, G):
    """Generate one sample's kernel number by number, as the published grouped 1x1 convolution does."""
    descriptor = module.reduce.weight[:, :, 0, 0] @ sample.mean((1, 2)) + module.reduce.bias
    a = 1 / (1 + (-(module.fc1.weight[:, :, 0, 0] @ descriptor + module.fc1.bias)).exp())
    groups = len(a) // (M // G)
    weight = module.fc2.reshape(-1, M // G, 1, 1)  # [O * C/groups * kh * kw, M/G, 1, 1]
    return functional.conv2d(a[None, :, None, None], weight, groups=groups).reshape(module.kernel_shape)


@settings(max_examples=25, deadline=None)
@given(geometries(), st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2), (3, 3)]), st.integers(1, 3), st.integers(0, 99))
def test_equals_the_definition_sample_by_sample(geometry, sizes, batch, seed):
    torch.manual_seed(seed)
    M, G = sizes
    rows, columns = geometry["kernel_size"]
    depthwise = geometry["in_channels"] == geometry["out_channels"] == geometry["groups"]
    assume(depthwise or geometry["in_channels"] // geometry["groups"] * rows * columns % G == 0)
    module = randomise(WeightNetConv2d(**geometry, M=M, G=G))
    x = torch.randn(batch, geometry["in_channels"], 7, 6, dtype=torch.float64)
    kernels = torch.stack([plain_kernel(module, sample, M, G) for sample in x])
    expected = convolve_each(x, kernels, bias=module.bias, **split(geometry))
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(module.sample_kernels(x), kernels)


def test_each_half_of_a_kernel_has_its_own_factor():
    """M = G = 2: the sigmoid's numbers 2o and 2o + 1 scale the first and the second half of output channel o."""
    torch.manual_seed(0)
    module = randomise(WeightNetConv2d(4, 3, 3))
    x = torch.randn(1, 4, 6, 6, dtype=torch.float64)
    ratio = module.sample_kernels(x).reshape(3, 2, 18) / module.fc2.reshape(3, 2, 18)
    torch.testing.assert_close(ratio, ratio[:, :, :1].expand_as(ratio))
    assert len(ratio[:, :, 0].flatten().unique()) == 6


def test_published_number_of_parameters():
    module = WeightNetConv2d(64, 128, 3, bias=False)
    descriptor = 64 * 16 + 16
    assert sum(p.numel() for p in module.parameters()) == descriptor + (16 * 256 + 256) + 128 * 64 * 9
    depthwise = WeightNetConv2d(64, 64, 3, groups=64, bias=False)
    assert sum(p.numel() for p in depthwise.parameters()) == descriptor + (16 * 64 + 64) + 64 * 9
    assert WeightNetConv2d(512, 8, 1).reduce.weight.shape[0] == 32


def test_kernels_start_in_the_range_of_a_static_convolution():
    torch.manual_seed(0)
    kernels = WeightNetConv2d(64, 64, 3).sample_kernels(torch.randn(4, 64, 8, 8))
    assert kernels.std().item() == pytest.approx(nn.Conv2d(64, 64, 3).weight.std().item(), rel=0.1)


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    assert silent_parameters(WeightNetConv2d(8, 6, 3), torch.randn(2, 8, 6, 6)) == set()


def test_empty_batch():
    assert WeightNetConv2d(4, 6, 3, padding=1)(torch.zeros(0, 4, 6, 5)).shape == (0, 6, 6, 5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"in_channels": 3}, r"G to divide in_channels / groups \* kh \* kw = 27; found M=2, G=2. G=1 is always legal"),
        ({"M": 3}, r"M to be a multiple of G.*found M=3, G=2"),
        ({"G": 0}, r"G must be an integer >= 1, not 0"),
        ({"groups": 4}, r"groups=4 does not divide in_channels=8 .* Allowed: 1, 2"),
        ({"padding": "half"}, r"padding must be an integer, a pair, 'same' or 'valid', not 'half'"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        WeightNetConv2d(**{"in_channels": 8, "out_channels": 6, "kernel_size": 3, **arguments})
