from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magicseg.ops.dimension_pooling import pool_dimensions, pool_maximum


def definition(x, weight):
    """The three views as loops over the samples, in autograd's hands."""
    means, maxima, contexts = [], [], []
    for sample in x.flatten(2):
        logits = (weight.flatten()[:, None] * sample).sum(0)
        attention = (logits - logits.max()).exp() / (logits - logits.max()).exp().sum()
        means.append(sample.sum(1) / sample.shape[1])
        maxima.append(torch.stack([position.max() for position in sample.T]).mean())
        contexts.append((sample * attention).sum(1))
    return torch.stack(means), torch.stack(maxima), torch.stack(contexts)


def leaves(B=2, C=5, H=4, W=3, dtype=torch.float64):
    torch.manual_seed(0)
    shapes = (B, C, H, W), (1, C, 1, 1), (1,)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


@settings(max_examples=20, deadline=None)
@given(B=st.integers(1, 3), C=st.integers(1, 6), H=st.integers(1, 5), W=st.integers(1, 5))
def test_values_and_gradients_equal_the_definition(B, C, H, W):
    x, weight, bias = leaves(B, C, H, W)
    got, expected = pool_dimensions(x, weight, bias), definition(x, weight)
    probes = [torch.randn_like(view) for view in expected]
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(got, (x, weight), probes), torch.autograd.grad(expected, (x, weight), probes)
    )
    torch.testing.assert_close(pool_maximum(x), expected[1])


def test_gradcheck():
    assert torch.autograd.gradcheck(pool_dimensions, leaves())


def test_the_bias_changes_nothing():
    x, weight, bias = leaves()
    torch.testing.assert_close(pool_dimensions(x, weight, bias), pool_dimensions(x, weight))
    pool_dimensions(x, weight, bias)[2].sum().backward()
    assert bias.grad.item() == 0


def test_equal_maxima_share_the_gradient():
    x = torch.zeros(1, 3, 1, 2, requires_grad=True)  # a flat region, as after ReLU
    pool_dimensions(x, torch.zeros(1, 3, 1, 1))[1].sum().backward()
    torch.testing.assert_close(x.grad, torch.full((1, 3, 1, 2), 1 / 6))


def test_memory_layout_does_not_matter():
    x, weight, bias = leaves(H=6, W=6)
    expected = pool_dimensions(x, weight, bias)
    wanted = torch.autograd.grad([view.sum() for view in expected], x)[0]
    for arrange in (lambda x: x.to(memory_format=torch.channels_last), lambda x: x.mT.contiguous().mT):
        views = pool_dimensions(arrange(x), weight, bias)
        torch.testing.assert_close(views, expected)
        torch.testing.assert_close(torch.autograd.grad([view.sum() for view in views], x)[0], wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(dtype):
    x, weight, bias = leaves(dtype=torch.float32)
    half = x.detach().to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        views = pool_dimensions(half, weight, bias)
        sum(view.float().sum() for view in views).backward()
    expected = definition(x, weight)
    sum(view.sum() for view in expected).backward()
    assert all(view.dtype == dtype for view in views)
    torch.testing.assert_close([view.float() for view in views], list(expected), rtol=0.02, atol=0.02)
    torch.testing.assert_close(half.grad.float(), x.grad, rtol=0.05, atol=0.02)


def test_an_empty_batch_is_pooled_to_nothing():
    x, weight, bias = leaves(B=0)
    views = pool_dimensions(x, weight, bias)
    assert [tuple(view.shape) for view in views] == [(0, 5), (0,), (0, 5)]
    sum(view.sum() for view in views).backward()
    assert not weight.grad.any()


def test_second_derivatives_are_refused():
    x, weight, bias = leaves()
    (gradient,) = torch.autograd.grad(pool_dimensions(x, weight, bias)[2].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
