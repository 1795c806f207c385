from __future__ import annotations

import math

import pytest
import torch
from golden_files import check_golden, golden_files
from plain_convs import randomise, silent_parameters
from torch import nn

from magicseg.convs.ddconv import DDConv2d

OPTIONS = ("in_channels", "out_channels", "kernel_size", "stride", "bias", "experts", "modulation", "routing_dropout")


def from_config(config):
    # the reference is right for padding 1 only, where its 1x1 kernels act as if they had none: ddconv_3
    padding = config["kernel_size"] // 2
    return DDConv2d(**{key: config[key] for key in OPTIONS}, padding=padding)


def in_double(module, inputs):
    """Compute in float64 even for float32 values.

    One sampling position of ddconv_0 lies 2.5e-7 from the centre of a pixel, where the gradient of the bilinear
    interpolation jumps; float32 cannot tell on which side.
    """
    return module.double()(inputs["x"].double())


@pytest.mark.parametrize("path", golden_files("ddconv"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, from_config, in_double if path.stem == "ddconv_0" else None)


def sigmoid(t):
    return 1 / (1 + (-t).exp())


def bilinear(x, row, column):
    """Return x `[C, H, W]` at a position between pixels, zero outside."""
    value = x.new_zeros(x.shape[0])
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                value = value + x[:, r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return value


def window_of_three(x, row, column):
    """Return the 3x3 pixels of x `[C, H, W]` around a pixel, zero outside."""
    return torch.stack([bilinear(x, row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)], 1)


def mixed(x, kernels, routing):
    pi = sigmoid(routing.weight @ x.mean((1, 2)) + routing.bias)
    return sum(p * kernel for p, kernel in zip(pi, kernels, strict=True))


def plain(module, x, k, stride, padding, dilation, groups):
    """One sample, position by position and tap by tap."""
    shape = nn.Conv2d(1, 1, k, stride, padding, dilation)(x[:1].float()).shape[1:]
    offset_kernel = mixed(x, module.offset_kernels, module.offset_routing).flatten(2)
    taps = x.new_zeros(len(x), k * k, *shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            top, left = i * stride - padding, j * stride - padding
            middle = dilation * (k - 1) // 2
            around = window_of_three(x, top + middle, left + middle)
            offset = torch.einsum("oct,ct->o", offset_kernel, around) + module.offset_bias
            factor = torch.ones(k * k)
            if module.modulation:
                mod_kernel = mixed(x, module.mod_kernels, module.mod_routing).flatten(2)
                factor = sigmoid(torch.einsum("oct,ct->o", mod_kernel, around) + module.mod_bias)
            for tap in range(k * k):
                row = top + dilation * (tap // k) + offset[tap].item()
                column = left + dilation * (tap % k) + offset[k * k + tap].item()
                taps[:, tap, i, j] = factor[tap] * bilinear(x, row, column)
    pi = sigmoid(module.routing.weight @ taps.mean((1, 2, 3)) + module.routing.bias)
    kernel = sum(p * kernel for p, kernel in zip(pi, module.kernels, strict=True)).flatten(2)
    parts = zip(kernel.chunk(groups), taps.chunk(groups), strict=True)
    y = torch.cat([torch.einsum("oct,cthw->ohw", w, t) for w, t in parts])
    return y if module.bias is None else y + module.bias[:, None, None]


CASES = [(k, stride, padding, 1, 1, False) for k in (1, 3, 5) for stride in (1, 2) for padding in (0, 1, 2)]
CASES += [(3, 1, 2, 2, 1, True), (3, 2, 1, 1, 2, True), (3, 2, 0, 2, 2, False)]


@pytest.mark.parametrize(("k", "stride", "padding", "dilation", "groups", "modulation"), CASES)
@torch.no_grad()
def test_equals_a_plain_sampler(k, stride, padding, dilation, groups, modulation):
    torch.manual_seed(k + 10 * padding)
    module = DDConv2d(4, 2, k, stride, padding, dilation, groups, padding == 1, experts=2, modulation=modulation)
    module = randomise(module).eval()
    x = torch.randn(2, 4, 6, 5, dtype=torch.float64)
    expected = torch.stack([plain(module, sample, k, stride, padding, dilation, groups) for sample in x])
    torch.testing.assert_close(module(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel_size", [2, 4, (2, 3), (1, 7)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 2), (1, 2)])
def test_has_the_shape_of_a_static_convolution(kernel_size, padding, stride, dilation):
    arguments = (3, 4, kernel_size, stride, padding, dilation)
    x = torch.randn(2, 3, 15, 14)
    assert DDConv2d(*arguments)(x).shape == nn.Conv2d(*arguments)(x).shape


def test_starts_as_a_condconv_on_the_regular_grid():
    torch.manual_seed(0)
    module = DDConv2d(6, 5, 3, 2, 1).eval()
    x = torch.randn(3, 6, 8, 7)
    assert not module.sampling(x).offset.any()
    pi = module.weights(x)
    expected = sum(
        pi[:, k, None, None, None] * nn.functional.conv2d(x, module.kernels[k], stride=2, padding=1) for k in range(8)
    )
    torch.testing.assert_close(module(x), expected + module.bias[:, None, None])


def test_padding_words():
    assert DDConv2d(3, 3, 5, padding="same").padding == (2, 2)
    assert DDConv2d(3, 3, 3, padding="same", dilation=2).padding == (2, 2)
    assert DDConv2d(3, 3, 5, padding="valid").padding == (0, 0)


def test_empty_batch():
    assert DDConv2d(3, 4, 3, padding=1)(torch.zeros(0, 3, 6, 5)).shape == (0, 4, 6, 5)


def test_autocast_samples_in_single_precision():
    torch.manual_seed(0)
    module = DDConv2d(8, 4, 3, padding=1, modulation=True).eval()
    nn.init.normal_(module.offset_bias, std=20.0)  # positions that bfloat16 would round to eighths of a pixel
    x = torch.randn(2, 8, 40, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = module(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), module(x), rtol=0.02, atol=0.02)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    module = randomise(DDConv2d(2, 2, 3, padding=1, experts=2, modulation=True)).eval()
    x = torch.randn(2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, x)


def test_dropout_is_for_training_alone():
    module = DDConv2d(16, 4, 3, routing_dropout=0.5)
    x = torch.randn(2, 16, 6, 6)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


def test_experts_start_as_static_convolutions():
    torch.manual_seed(0)
    module = DDConv2d(64, 64, 3)
    assert module.kernels.shape[0] == 8
    assert module.kernels.std().item() == pytest.approx(0.0241, abs=1e-4)


@pytest.mark.parametrize("modulation", [False, True])
def test_every_parameter_gets_a_gradient(modulation):
    torch.manual_seed(0)
    module = randomise(DDConv2d(8, 6, 3, modulation=modulation, routing_dropout=0.0))
    assert silent_parameters(module, torch.randn(2, 8, 6, 6, dtype=torch.float64)) == set()


def test_only_the_routers_of_zero_kernels_wait_for_the_first_step():
    torch.manual_seed(0)
    silent = silent_parameters(DDConv2d(8, 6, 3, modulation=True), torch.randn(2, 8, 6, 6))
    # offsets and factors start with zero kernels, through which no gradient reaches their routers
    assert silent == {"offset_routing.weight", "offset_routing.bias", "mod_routing.weight", "mod_routing.bias"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"experts": 0}, r"num_kernels must be an integer >= 1, not 0"),
        ({"routing_dropout": 1.0}, r"routing_dropout must be at least 0 and below 1, not 1.0"),
        ({"kernel_size": 2, "padding": "same"}, r"padding='same' with the even kernel_size=\(2, 2\): give a number"),
    ],
)
def test_refuses(options, text):
    with pytest.raises(ValueError, match=text):
        DDConv2d(**{"in_channels": 8, "out_channels": 6, "kernel_size": 3, **options})
