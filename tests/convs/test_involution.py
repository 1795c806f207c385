from __future__ import annotations

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convs import randomise, silent_parameters
from torch import nn
from torch.nn import functional

from magicseg.convs.involution import Involution2d


def from_config(config):
    C, k = config["channels"], config["kernel_size"]
    options = {key: config[key] for key in ("stride", "reduction", "group_channels")}
    return Involution2d(C, C, k, padding=(k - 1) // 2, bias=False, **options)


@pytest.mark.parametrize("path", golden_files("involution"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, from_config)


def plain(module, x, k, stride):
    """Equations 4 and 6 in evaluation mode, position by position."""
    B, C, H, W = x.shape
    norm, G = module.reduce_norm, module.kernel_groups
    padded = functional.pad(x, [k // 2] * 4)
    y = x.new_zeros(B, C, -(-H // stride), -(-W // stride))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            cell = x[:, :, i * stride : (i + 1) * stride, j * stride : (j + 1) * stride].mean((2, 3))
            v = cell @ module.reduce.weight[:, :, 0, 0].T
            v = (v - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
            w = v.clamp(min=0) @ module.span.weight[:, :, 0, 0].T + module.span.bias
            window = padded[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            for c in range(C):
                kernel = w.reshape(B, G, k, k)[:, c * G // C]
                y[:, c, i, j] = (kernel * window[:, c]).sum((1, 2))
    return y if module.bias is None else y + module.bias[:, None, None]


@settings(max_examples=15, deadline=None)
@given(
    groups=st.integers(1, 3),
    shared=st.integers(1, 4),
    k=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
@torch.no_grad()
def test_equals_the_equation_position_by_position(groups, shared, k, stride, bias, seed):
    torch.manual_seed(seed)
    C = groups * shared
    module = Involution2d(C, C, k, stride, k // 2, bias=bias, reduction=2, group_channels=shared)
    module = randomise(module).eval()
    module.reduce_norm.running_mean.normal_()
    module.reduce_norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, C, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(module(x), plain(module, x, k, stride), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8)])
@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
def test_has_the_shape_of_a_static_convolution(size, stride):
    x = torch.randn(2, 16, *size)
    arguments = (16, 16, 7, stride, 3)
    assert Involution2d(*arguments)(x).shape == nn.Conv2d(*arguments)(x).shape


def test_autocast_adds_the_taps_in_single_precision():
    torch.manual_seed(0)
    module = Involution2d(16, 16, 7, padding=3, bias=False).eval()
    x = torch.randn(2, 16, 12, 12).bfloat16()  # as an earlier layer leaves it
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = module(x)
        w = module.position_kernels(x)
    window = functional.unfold(x, 7, padding=3).reshape(2, 16, 49, 12, 12)
    exact = (w.double() * window.double()).sum(2)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, exact.to(torch.bfloat16))  # rounded once, at the end


def test_training_batch_of_one_pixel_uses_the_running_statistics():
    torch.manual_seed(0)
    module = Involution2d(16, 16, 3, padding=1).train()
    module(torch.randn(4, 16, 5, 5))
    x = torch.randn(1, 16, 1, 1)
    torch.testing.assert_close(module(x), module.eval()(x))


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    assert silent_parameters(Involution2d(32, 32, 3, padding=1), torch.randn(2, 32, 6, 6)) == set()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"out_channels": 32},
            r"in_channels = out_channels, a multiple of group_channels=16; found in_channels=16, out",
        ),
        ({"in_channels": 24, "out_channels": 24}, r"a multiple of group_channels=16; found in_channels=24"),
        ({"padding": 0}, r"Involution with kernel_size=3 needs padding=\(1, 1\) or 'same', not 0"),
        ({"padding": "valid"}, r"needs padding=\(1, 1\) or 'same', not 'valid'"),
        ({"kernel_size": 4}, r"Involution needs an odd kernel_size, not 4"),
        ({"groups": 16}, r"Involution has no groups: groups must be 1, not 16"),
        ({"dilation": 2}, r"Involution has no dilation: dilation must be 1, not 2"),
        ({"reduction": 0}, r"reduction must be an integer >= 1, not 0"),
    ],
)
def test_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        Involution2d(**{"in_channels": 16, "out_channels": 16, "kernel_size": 3, "padding": 1, **arguments})
