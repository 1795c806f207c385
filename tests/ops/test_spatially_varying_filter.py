from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from magicseg.ops import spatially_varying_filter as module
from magicseg.ops.spatially_varying_filter import spatially_varying_filter


def plain(x, logits):
    """Unfold, softmax, weighted sum."""
    heads, taps = logits.shape[1:3]
    k = round(taps**0.5)
    patches = functional.unfold(x, k, padding=k // 2).unflatten(1, (heads, -1, taps))
    return (patches * logits.flatten(3).softmax(2).unsqueeze(2)).sum(3).reshape(x.shape)


def draw(B, heads, per_head, k, H, W, dtype=torch.float64):
    x = torch.randn(B, heads * per_head, H, W, dtype=dtype, requires_grad=True)
    return x, torch.randn(B, heads, k * k, H, W, dtype=dtype).mul_(3).requires_grad_()


def both(x, logits):
    """Return output and gradients of the filter and of the plain form."""
    torch.manual_seed(1)
    probe = torch.randn(x.shape, dtype=x.dtype)
    results = []
    for function in (spatially_varying_filter, plain):
        y = function(x, logits)
        results.append((y.detach(), *torch.autograd.grad((y * probe).sum(), (x, logits))))
    return results


@settings(max_examples=25, deadline=None)
@given(
    B=st.integers(1, 3),
    heads=st.integers(1, 3),
    per_head=st.integers(1, 3),
    k=st.sampled_from([1, 3, 5, 7]),
    H=st.integers(1, 8),
    W=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_form(B, heads, per_head, k, H, W, seed):
    torch.manual_seed(seed)
    for got, expected in zip(*both(*draw(B, heads, per_head, k, H, W)), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_equals_the_plain_form_in_float32_at_full_size():
    torch.manual_seed(0)
    for got, expected in zip(*both(*draw(1, 4, 16, 7, 64, 64, torch.float32)), strict=True):
        assert (got - expected).abs().max() <= 2e-6 * max(1, expected.abs().max())


@pytest.mark.parametrize("piece", [1, 500, 2**30])
def test_pieces_change_nothing(monkeypatch, piece):
    torch.manual_seed(0)
    monkeypatch.setattr(module, "PIECE", piece)
    for got, expected in zip(*both(*draw(3, 2, 4, 3, 6, 7)), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_by_hand():
    x = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    uniform = torch.zeros(1, 1, 9, 3, 3)
    # the mean of the window, zeros outside included: a corner keeps 4 of 9 taps
    expected = functional.avg_pool2d(x, 3, stride=1, padding=1)
    torch.testing.assert_close(spatially_varying_filter(x, uniform), expected)
    # all weight on the tap to the upper left, number 0
    upper_left = uniform.clone()
    upper_left[:, :, 0] = 1000
    shifted = torch.tensor([[0.0, 0, 0], [0, 1, 2], [0, 4, 5]]).reshape(1, 1, 3, 3)
    assert torch.equal(spatially_varying_filter(x, upper_left), shifted)


def test_a_head_serves_its_own_channels():
    x = torch.randn(1, 4, 5, 5)
    logits = torch.zeros(1, 2, 9, 5, 5)
    logits[:, 0, 4] = 1000  # the first head keeps the centre
    y = spatially_varying_filter(x, logits)
    assert torch.equal(y[:, :2], x[:, :2])
    torch.testing.assert_close(y[:, 2:], functional.avg_pool2d(x[:, 2:], 3, stride=1, padding=1))


def test_gradcheck():
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(spatially_varying_filter, draw(2, 2, 2, 3, 4, 3))


def test_one_gradient_only():
    torch.manual_seed(0)
    x, logits = draw(1, 2, 2, 3, 4, 4)
    (expected,) = torch.autograd.grad(plain(x, logits).sum(), x)
    (got,) = torch.autograd.grad(spatially_varying_filter(x, logits.detach()).sum(), x)
    torch.testing.assert_close(got, expected)


def test_not_twice_differentiable():
    x, logits = draw(1, 1, 1, 3, 3, 3)
    (gradient,) = torch.autograd.grad(spatially_varying_filter(x, logits).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_memory_layouts():
    torch.manual_seed(0)
    x, logits = (t.detach() for t in draw(2, 2, 3, 3, 5, 6))
    expected = plain(x, logits)
    for layout in (
        x.contiguous(memory_format=torch.channels_last),
        x.mT.contiguous().mT,
        x.repeat(1, 1, 1, 2)[..., :6],
    ):
        torch.testing.assert_close(spatially_varying_filter(layout, logits), expected)
    sliced = torch.cat([logits, logits], 2)[:, :, :9]
    torch.testing.assert_close(spatially_varying_filter(x, sliced), expected)


def test_expanded_gradient():
    x, logits = draw(1, 2, 2, 3, 4, 4)
    spatially_varying_filter(x, logits).sum().backward()  # the gradient of a sum is one expanded value
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(logits.grad).all()


def test_empty_batch():
    x, logits = draw(0, 2, 2, 3, 4, 4)
    y = spatially_varying_filter(x, logits)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 4, 4, 4)
    assert logits.grad.shape == logits.shape


def test_half_precision_is_summed_in_float32():
    torch.manual_seed(0)
    x, logits = (t.detach().bfloat16().requires_grad_() for t in draw(1, 2, 2, 7, 9, 9))
    y = spatially_varying_filter(x, logits)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == logits.grad.dtype == torch.bfloat16
    assert torch.equal(y, plain(x.float(), logits.float()).bfloat16())


def test_compiled_it_gives_the_same_gradients():
    torch.manual_seed(0)
    x, logits = draw(2, 2, 2, 3, 5, 4)
    expected = torch.autograd.grad(spatially_varying_filter(x, logits).square().sum(), (x, logits))
    compiled = torch.compile(spatially_varying_filter, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(torch.autograd.grad(compiled(x, logits).square().sum(), (x, logits)), expected)


def test_autocast():
    torch.manual_seed(0)
    x, logits = draw(1, 2, 2, 3, 5, 5, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = spatially_varying_filter(x, logits.bfloat16())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, plain(x, logits.bfloat16().float()))


@pytest.mark.parametrize(
    ("x", "logits", "text"),
    [
        ((1, 4, 5), (1, 2, 9, 5, 5), r"x must be \[B, C, H, W\] and logits \[B, heads, k\*k, H, W\], not \[1, 4, 5\]"),
        ((1, 4, 5, 5), (2, 2, 9, 5, 5), r"not \[1, 4, 5, 5\] and \[2, 2, 9, 5, 5\]"),
        ((1, 4, 5, 5), (1, 2, 9, 5, 6), r"not \[1, 4, 5, 5\] and \[1, 2, 9, 5, 6\]"),
        ((1, 4, 5, 5), (1, 3, 9, 5, 5), r"4 channels of x must be divisible by the 3 heads"),
        ((1, 4, 5, 5), (1, 2, 8, 5, 5), r"k\*k taps for an odd k \(1, 9, 25, 49, ...\), not 8"),
        ((1, 4, 5, 5), (1, 2, 16, 5, 5), r"k\*k taps for an odd k \(1, 9, 25, 49, ...\), not 16"),
    ],
)
def test_refuses(x, logits, text):
    with pytest.raises(ValueError, match=text):
        spatially_varying_filter(torch.zeros(x), torch.zeros(logits))
