from __future__ import annotations

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convs import randomise, silent_parameters
from torch import nn
from torch.nn import functional

from magicseg.convs.dcd import DCDConv2d

OPTIONS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "variant")


def from_config(config):
    module = DCDConv2d(**{key: config[key] for key in OPTIONS}, bias=False)
    assert module.latent == config["latent"]
    assert module.squeeze.weight.shape[0] == config["squeeze"]
    assert module.pool**2 == config["pool"]
    return module


@pytest.mark.parametrize("path", golden_files("dcd"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, from_config)


def normalise(norm, q):
    mean, variance = q.mean((0, 2, 3), keepdim=True), q.var((0, 2, 3), keepdim=True, unbiased=False)
    q = (q - mean) / (variance + norm.eps).sqrt()
    return q * norm.weight[:, None, None] + norm.bias[:, None, None]


def plain(module, x, stride):
    """Equations 5 to 7 in training mode, on maps and with every 1x1 convolution as a convolution."""
    B, L = len(x), module.latent
    cells = functional.adaptive_avg_pool2d(x, module.pool).reshape(B, -1)
    g = cells @ module.squeeze.weight.T
    g = g * ((g @ module.squeeze_gate.weight.T + 3).clamp(0, 6) / 3)
    Phi = (g @ module.phi.weight.T).reshape(B, L, L)
    Lambda = (g @ module.scale.weight.T + 3).clamp(0, 6) / 3
    q = normalise(module.norm_in, functional.conv2d(x, module.proj_in.weight, stride=stride))
    mixed = normalise(module.norm_mid, torch.einsum("bij,bjhw->bihw", Phi, q))
    y = functional.conv2d(mixed + q, module.proj_out.weight)
    k = module.static.weight.shape[-1]
    y = y + Lambda[:, :, None, None] * functional.conv2d(x, module.static.weight, stride=stride, padding=k // 2)
    return y if module.proj_out.bias is None else y + module.proj_out.bias[:, None, None]


@settings(max_examples=25, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    kernel_size=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_equations(channels, kernel_size, stride, bias, seed):
    torch.manual_seed(seed)
    module = randomise(DCDConv2d(*channels, kernel_size, stride, kernel_size // 2, bias=bias))
    x = torch.randn(2, channels[0], 7, 6, dtype=torch.float64)
    torch.testing.assert_close(module(x), plain(module, x, stride), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("in_channels", "latent", "squeeze"),
    [(8, 5, 4), (16, 8, 4), (64, 16, 16), (128, 22, 32), (256, 32, 64), (512, 45, 128)],
)
def test_published_sizes_of_the_basic_variant(in_channels, latent, squeeze):
    module = DCDConv2d(in_channels, 8, 3, padding=1)
    assert (module.variant, module.pool, module.latent, module.squeeze.out_features) == ("basic", 2, latent, squeeze)


@pytest.mark.parametrize(
    ("kernel_size", "stride", "variant"),
    [
        (3, 1, "basic"),
        (3, 2, "basic"),
        (1, 1, "pointwise"),
        (1, 2, "general"),
        (5, 1, "general"),
        ((1, 3), 1, "general"),
    ],
)
def test_variant_follows_the_shape(kernel_size, stride, variant):
    assert DCDConv2d(16, 16, kernel_size, stride, "same").variant == variant


def test_general_variant_keeps_a_hidden_unit_below_16_channels():
    module = DCDConv2d(8, 6, 5, padding=2)  # as published: 8 // 16 = 0 units
    assert module.squeeze.out_features == 1
    assert module(torch.randn(2, 8, 7, 7)).shape == (2, 6, 7, 7)


@pytest.mark.parametrize("batch", [0, 1])
def test_training_batch_without_a_variance_uses_the_running_statistics(batch):
    torch.manual_seed(0)
    module = DCDConv2d(8, 6, 3, padding=1).train()
    module(torch.randn(4, 8, 5, 5))
    x = torch.randn(batch, 8, 1, 1)
    y = module(x)
    torch.testing.assert_close(y, module.eval()(x))
    assert y.shape == (batch, 6, 1, 1)


def test_training_batch_of_one_with_several_positions_uses_its_own_statistics():
    torch.manual_seed(0)
    module = randomise(DCDConv2d(8, 6, 3, padding=1)).train()
    x = torch.randn(1, 8, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(module(x), plain(module, x, 1))


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    assert silent_parameters(DCDConv2d(8, 6, 3, padding=1), torch.randn(4, 8, 6, 6)) == set()


def test_static_part_has_the_shape_of_the_convolution_that_it_replaces():
    module, conv = (
        DCDConv2d(8, 6, (3, 5), padding=(1, 2), bias=False),
        nn.Conv2d(8, 6, (3, 5), padding=(1, 2), bias=False),
    )
    module.static.load_state_dict(conv.state_dict())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kernel_size": 3}, r"DCD with kernel_size=3 needs padding=\(1, 1\) or 'same', not 0"),
        ({"kernel_size": 2}, r"DCD needs an odd kernel_size, not 2"),
        ({"padding": 1, "dilation": 2}, r"DCD has no dilation: dilation must be 1, not 2"),
        ({"padding": 1, "groups": 2}, r"DCD has no groups: groups must be 1, not 2"),
        ({"padding": 1, "variant": "big"}, r"variant must be 'basic', 'general', 'pointwise' or None, not 'big'"),
        ({"padding": 2, "kernel_size": 5, "variant": "basic"}, r"'basic' is for 3x3 kernels, not \(5, 5\)"),
        (
            {"kernel_size": 1, "stride": 2, "variant": "pointwise"},
            r"'pointwise' is for 1x1 kernels with stride 1, .*stride",
        ),
        ({"padding": 1, "out_channels": 0}, r"out_channels must be an integer >= 1, not 0"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        DCDConv2d(**{"in_channels": 8, "out_channels": 6, "kernel_size": 3, **arguments})
