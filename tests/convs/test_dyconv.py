from __future__ import annotations

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convs import convolve_each, geometries, randomise, silent_parameters, split
from torch.nn import functional

from magicseg.convs.dyconv import DYConv2d

OPTIONS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")


def from_config(config):
    options = {key: config[key] for key in (*OPTIONS, "reduction_ratio", "temperature")}
    module = DYConv2d(**options, num_kernels=config["K"])
    assert module.squeeze.weight.shape[0] == config["hidden"]
    return module


@pytest.mark.parametrize("path", golden_files("dyconv"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, from_config)


@settings(max_examples=25, deadline=None)
@given(geometries(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_equals_the_equation_sample_by_sample(geometry, kernels, batch, seed):
    torch.manual_seed(seed)
    module = randomise(DYConv2d(**geometry, num_kernels=kernels, temperature=2.0))
    x = torch.randn(batch, geometry["in_channels"], 7, 6, dtype=torch.float64)
    hidden = (module.squeeze.weight[:, :, 0, 0] @ x.mean((2, 3)).T).clamp(min=0)
    logits = (module.logits.weight[:, :, 0, 0] @ hidden).T + module.logits.bias
    pi = (logits / 2).exp() / (logits / 2).exp().sum(1, keepdim=True)
    expected = convolve_each(x, torch.einsum("bk,koihw->boihw", pi, module.kernels), **split(geometry))
    if geometry["bias"]:
        expected = expected + torch.einsum("bk,ko->bo", pi, module.kernel_bias)[:, :, None, None]
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(module.weights(x), pi)


def test_equal_kernels_are_a_static_convolution():
    module = randomise(DYConv2d(5, 4, 3, padding=1))
    with torch.no_grad():
        module.kernels[:] = module.kernels[0].clone()
        module.kernel_bias[:] = module.kernel_bias[0].clone()
    x = torch.randn(3, 5, 6, 7, dtype=torch.float64)
    static = functional.conv2d(x, module.kernels[0], module.kernel_bias[0], padding=1)
    torch.testing.assert_close(module(x), static)


def test_defaults_are_the_papers():
    module = DYConv2d(64, 32, 3)
    assert module.kernels.shape == (4, 32, 64, 3, 3)
    assert module.squeeze.weight.shape[0] == 17
    assert module.temperature == 34.0
    assert module.kernel_bias.shape == (4, 32)
    assert not module.kernel_bias.any()


def test_high_temperature_makes_the_weights_equal_and_low_temperature_picks_one():
    torch.manual_seed(0)
    module = randomise(DYConv2d(8, 4, 3))
    x = torch.randn(5, 8, 6, 6, dtype=torch.float64)
    module.temperature = 1e6
    torch.testing.assert_close(module.weights(x), torch.full((5, 4), 0.25, dtype=torch.float64), atol=1e-4, rtol=0)
    module.temperature = 1e-6
    assert (module.weights(x).max(1).values > 0.999).all()


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    assert silent_parameters(DYConv2d(8, 6, 3), torch.randn(2, 8, 6, 6)) == set()


def test_one_kernel_has_no_attention_to_learn():
    torch.manual_seed(0)
    silent = silent_parameters(DYConv2d(8, 6, 3, num_kernels=1), torch.randn(2, 8, 6, 6))
    assert silent == {"squeeze.weight", "logits.weight", "logits.bias"}  # a softmax over one number is 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temperature": 0}, r"temperature must be a positive number, not 0"),
        ({"temperature": float("nan")}, r"temperature must be a positive number, not nan"),
        ({"temperature": "30"}, r"temperature must be a positive number, not '30'"),
        ({"reduction_ratio": 0}, r"reduction_ratio must be a positive number, not 0"),
        ({"reduction_ratio": float("inf")}, r"reduction_ratio must be a positive number, not inf"),
        ({"num_kernels": 0}, r"num_kernels must be an integer >= 1, not 0"),
        ({"groups": 3}, r"groups=3 does not divide in_channels=8 .* Allowed: 1, 2"),
    ],
)
def test_refuses(options, text):
    with pytest.raises(ValueError, match=text):
        DYConv2d(8, 6, 3, **options)
