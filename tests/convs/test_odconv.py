from __future__ import annotations

import pytest
import torch
from golden_files import check_golden, golden_files
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convs import convolve_each, geometries, randomise, silent_parameters, split

from magicseg.convs.odconv import ODConv2d

OPTIONS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")


def from_config(config):
    options = {key: config[key] for key in (*OPTIONS, "reduction", "min_hidden", "temperature")}
    module = ODConv2d(**options, bias=False, num_kernels=config["K"])
    assert module.squeeze.weight.shape[0] == config["hidden"]
    return module


@pytest.mark.parametrize("path", golden_files("odconv"), ids=lambda path: path.stem)
def test_golden(path):
    check_golden(path, from_config)


def sigmoid(t):
    return 1 / (1 + (-t).exp())


def plain(module, x, geometry):
    """Equation 3 written out for one sample after the other, in evaluation mode."""
    norm, T = module.squeeze_norm, module.temperature

    def head(layer, z):
        return (layer.weight[:, :, 0, 0] @ z + layer.bias) / T

    outputs = []
    for sample in x:
        z = module.squeeze.weight[:, :, 0, 0] @ sample.mean((1, 2))
        z = (z - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        z = z.clamp(min=0)
        K, kh, kw = len(module.kernels), *module.kernel_size
        a_w = head(module.att_kernel, z).exp() if K > 1 else x.new_ones(1)
        a_w = a_w / a_w.sum()
        kernel = sum(a_w[k] * module.kernels[k] for k in range(K))
        if kh * kw > 1:
            kernel = kernel * sigmoid(head(module.att_spatial, z)).reshape(kh, kw)
        scaled = sample * sigmoid(head(module.att_in, z))[:, None, None]
        y = convolve_each(scaled[None], kernel[None], **split(geometry))[0]
        if module.att_out is not None:
            y = y * sigmoid(head(module.att_out, z))[:, None, None]
        if geometry["bias"]:
            y = y + sum(a_w[k] * module.kernel_bias[k] for k in range(K))[:, None, None]
        outputs.append(y)
    return torch.stack(outputs)


@settings(max_examples=25, deadline=None)
@given(geometries(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_equals_the_equation_sample_by_sample(geometry, kernels, batch, seed):
    torch.manual_seed(seed)
    module = randomise(ODConv2d(**geometry, num_kernels=kernels, min_hidden=4, temperature=1.5)).eval()
    module.squeeze_norm.running_mean.normal_()
    module.squeeze_norm.running_var.uniform_(0.5, 2)
    x = torch.randn(batch, geometry["in_channels"], 7, 6, dtype=torch.float64)
    torch.testing.assert_close(module(x), plain(module, x, geometry), rtol=1e-10, atol=1e-10)


def test_defaults_are_the_papers():
    module = ODConv2d(512, 64, 3)
    assert module.kernels.shape == (4, 64, 512, 3, 3)
    assert module.squeeze.weight.shape[0] == 32
    assert ODConv2d(64, 64, 3).squeeze.weight.shape[0] == 16


def test_every_kernel_starts_from_the_fan_out_of_one():
    torch.manual_seed(0)
    for kernel in ODConv2d(64, 16, 3).kernels:
        assert kernel.std().item() == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.05)


def test_attentions_that_cannot_matter_are_left_out():
    assert ODConv2d(8, 8, 3, groups=8).att_out is None
    assert ODConv2d(8, 16, 3, groups=8).att_out is not None
    assert ODConv2d(8, 8, 1).att_spatial is None
    assert ODConv2d(8, 8, 3, num_kernels=1).att_kernel is None


@pytest.mark.parametrize("batch", [0, 1])
def test_training_batch_of_one_or_none_uses_the_running_statistics(batch):
    torch.manual_seed(0)
    module = ODConv2d(8, 6, 3).train()
    module(torch.randn(4, 8, 5, 5))
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    x = torch.randn(batch, 8, 5, 5)
    y = module(x)
    assert y.shape == (batch, 6, 3, 3)
    torch.testing.assert_close(y, module.eval()(x))
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, before[name])


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    module = randomise(ODConv2d(8, 6, 3))
    assert silent_parameters(module, torch.randn(4, 8, 6, 6, dtype=torch.float64)) == set()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temperature": -1}, r"temperature must be a positive number, not -1"),
        ({"reduction": 0}, r"reduction must be a positive number, not 0"),
        ({"min_hidden": 0}, r"min_hidden must be an integer >= 1, not 0"),
    ],
)
def test_refuses(options, text):
    with pytest.raises(ValueError, match=text):
        ODConv2d(8, 6, 3, **options)
