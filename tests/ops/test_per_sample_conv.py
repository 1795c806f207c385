from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from magicseg.ops import per_sample_conv as module
from magicseg.ops.per_sample_conv import conv2d_own_kernel, mix_kernels, per_sample_conv2d


def sample_by_sample(x, kernels, weights, bias, **geometry):
    """The definition, one sample and one kernel after the other."""
    results = []
    for b in range(len(x)):
        own = sum(weights[b, k] * kernels[k] for k in range(len(kernels)))
        own_bias = None if bias is None else sum(weights[b, k] * bias[k] for k in range(len(kernels)))
        results.append(functional.conv2d(x[b : b + 1], own, own_bias, **geometry))
    return torch.cat(results)


def tensors(B=3, C=4, O=6, K=2, side=3, groups=1, bias=True, size=(7, 6), dtype=torch.float64):  # noqa: E741
    torch.manual_seed(0)
    shapes = [(B, C, *size), (K, O, C // groups, side, side), (B, K)] + [(K, O)] * bias
    drawn = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
    return drawn if bias else [*drawn, None]


def gradients(result, leaves):
    return torch.autograd.grad((result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum(), leaves)


@settings(max_examples=40, deadline=None)
@given(
    B=st.integers(1, 3),
    K=st.integers(1, 3),
    side=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2, (2, 1)]),
    padding=st.sampled_from([0, 2, (1, 2), "valid"]),
    dilation=st.sampled_from([1, (1, 2)]),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
    mix=st.sampled_from(["kernels", "outputs", None]),
    large=st.sampled_from([1, 10**6]),  # one by one, or all in one convolution
)
def test_values_and_gradients_equal_the_definition(B, K, side, stride, padding, dilation, groups, bias, mix, large):
    arguments = tensors(B=B, K=K, side=side, groups=groups, bias=bias, size=(9, 9))
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    leaves = [a for a in arguments if a is not None]
    expected = sample_by_sample(*arguments, **geometry)
    with patch.object(module, "LARGE_SAMPLE", large):
        result = per_sample_conv2d(*arguments, **geometry, mix=mix)
    torch.testing.assert_close(result, expected)
    for got, want in zip(gradients(result, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("mix", ["kernels", "outputs"])
def test_same_padding_keeps_the_size(mix):
    x, kernels, weights, bias = tensors(side=3)
    expected = sample_by_sample(x, kernels, weights, bias, padding=2, dilation=2)
    torch.testing.assert_close(
        per_sample_conv2d(x, kernels, weights, bias, padding="same", dilation=2, mix=mix), expected
    )


@pytest.mark.parametrize("mix", ["kernels", "outputs"])
@pytest.mark.parametrize("groups", [1, 2])
def test_an_empty_batch_gives_an_empty_result_and_zero_gradients(mix, groups):
    arguments = tensors(B=0, groups=groups)
    result = per_sample_conv2d(*arguments, stride=2, padding=1, groups=groups, mix=mix)
    assert result.shape == (0, 6, 4, 3)
    result.sum().backward()
    assert not arguments[1].grad.any()


@pytest.mark.parametrize("mix", ["kernels", "outputs"])
def test_memory_layout_does_not_matter(mix):
    x, kernels, weights, bias = tensors(size=(8, 8))
    expected = per_sample_conv2d(x, kernels, weights, bias, mix=mix)
    for other in (x.to(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3), strided(x)):
        torch.testing.assert_close(per_sample_conv2d(other, kernels, weights, bias, mix=mix), expected)
    torch.testing.assert_close(per_sample_conv2d(x, strided(kernels), weights, bias, mix=mix), expected)


def strided(x):
    """The same values, every second element of a larger tensor."""
    return torch.stack([x, torch.full_like(x, torch.nan)], -1).flatten(-2)[..., ::2]


@pytest.mark.parametrize("mix", ["kernels", "outputs"])
def test_autocast_computes_in_half_precision(mix):
    arguments = tensors(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        result = per_sample_conv2d(*arguments, mix=mix)
    expected = sample_by_sample(*arguments)
    assert result.dtype in (torch.bfloat16, torch.float32)
    torch.testing.assert_close(result.float(), expected, rtol=0, atol=0.05 * expected.abs().max().item())
    result.float().sum().backward()
    assert all(argument.grad is not None for argument in arguments)


def test_an_exported_graph_takes_every_batch_size():
    class Module(nn.Module):
        def forward(self, x, weights):
            return per_sample_conv2d(x, kernels, weights, bias, padding=1)

    x, kernels, weights, bias = (argument.detach() for argument in tensors())
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Module(), (x, weights), dynamic_shapes=({0: batch}, {0: batch}))
    x, _, weights, _ = tensors(B=5)
    expected = per_sample_conv2d(x, kernels, weights, bias, padding=1)
    torch.testing.assert_close(program.module()(x, weights), expected)


def test_a_graph_of_large_samples_takes_every_batch_size(monkeypatch):
    monkeypatch.setattr(module, "LARGE_SAMPLE", 1)
    x, kernels = torch.randn(3, 4, 7, 6), torch.randn(2, 6, 4, 3, 3)

    class Own(nn.Module):
        def forward(self, x):
            return conv2d_own_kernel(x, mix_kernels(kernels, x.mean((2, 3))[:, :2]))

    expected = Own()(x)
    exported = torch.export.export(Own(), (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    torch.testing.assert_close(exported(x), expected)
    torch.testing.assert_close(exported(x[:2]), expected[:2])


def test_own_kernels_are_mixed_kernels():
    x, kernels, weights, bias = tensors()
    own = mix_kernels(kernels, weights)
    assert own.shape == (3, 6, 4, 3, 3)
    torch.testing.assert_close(own[1], weights[1, 0] * kernels[0] + weights[1, 1] * kernels[1])
    result = conv2d_own_kernel(x, own, weights @ bias, padding=1)
    torch.testing.assert_close(result, per_sample_conv2d(x, kernels, weights, bias, padding=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(4, 7, 6)}, r"x must be \[B, C, H, W\].*\[4, 7, 6\]"),
        ({"x": torch.zeros(3, 5, 7, 6)}, r"groups=1, x needs 4 channels"),
        ({"groups": 4}, r"a multiple of 4 outputs"),
        ({"weights": torch.zeros(3, 3)}, r"weights must be \[B, K\] = \[3, 2\], not \[3, 3\]"),
        ({"bias": torch.zeros(6)}, r"bias must be \[K, O\] = \[2, 6\], not \[6\]"),
        ({"mix": "both"}, r"mix must be 'kernels', 'outputs' or None, not 'both'"),
    ],
)
def test_refusals_name_what_was_found(change, message):
    arguments = dict(zip(("x", "kernels", "weights", "bias"), tensors(), strict=True))
    with pytest.raises(ValueError, match=message):
        per_sample_conv2d(**{**arguments, **change})
