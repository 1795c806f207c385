from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from magicseg.ops.sobel import edge_modulation, sobel_x, sobel_y

K = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]], dtype=torch.float64)


def plain(x, shared):
    """Equation 1 with convolutions: a dense kernel if shared, else one for each channel."""
    C = x.shape[1]
    shape, groups = ((C, C, 1, 1), 1) if shared else ((C, 1, 1, 1), C)
    gx, gy = (functional.conv2d(x, k.to(x).repeat(shape), padding=1, groups=groups) for k in (K, K.T))
    return x * torch.sigmoid(torch.sqrt(gx**2 + gy**2))


def test_ramps_by_hand():
    columns = torch.arange(5.0).expand(1, 1, 5, 5)
    assert torch.equal(sobel_x(columns)[0, 0, 1:-1, 1:-1], torch.full((3, 3), -8.0))
    assert torch.equal(sobel_y(columns)[0, 0, 1:-1, 1:-1], torch.zeros(3, 3))
    assert torch.equal(sobel_y(columns.mT)[0, 0, 1:-1, 1:-1], torch.full((3, 3), -8.0))
    # zeros outside: the left column of the middle row sees -(1 * 1 + 2 * 1 + 1 * 1)
    assert sobel_x(columns)[0, 0, 2, 0] == -4.0


@settings(max_examples=20, deadline=None)
@given(C=st.integers(1, 5), H=st.integers(2, 6), W=st.integers(2, 6), shared=st.booleans(), seed=st.integers(0, 99))
def test_equals_the_convolutions(C, H, W, shared, seed):
    torch.manual_seed(seed)
    x = torch.randn(2, C, H, W, dtype=torch.float64, requires_grad=True)
    probe = torch.randn_like(x)
    got, expected = edge_modulation(x, shared=shared), plain(x, shared)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad((y * probe).sum(), x)[0] for y in (got, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shared", [True, False])
def test_gradcheck(shared):
    torch.manual_seed(0)
    x = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: edge_modulation(x, shared=shared), x)


@pytest.mark.parametrize("shared", [True, False])
def test_the_backward_pass_can_be_repeated(shared):
    """It reuses memory; what it was given and what it saved must stay as they were."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 5, requires_grad=True)
    y, probe = edge_modulation(x, shared=shared), torch.randn(2, 3, 6, 5)
    given = probe.clone()
    first, second = (torch.autograd.grad(y, x, probe, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(probe, given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 8, 64, 256])
@pytest.mark.parametrize("shared", [True, False])
def test_flat_patches_have_finite_gradients_and_unchanged_values(dtype, channels, shared):
    torch.manual_seed(0)
    x = torch.randn(1, channels, 12, 12, dtype=dtype)
    x[..., 3:9, 3:9] = 0.37
    x.requires_grad_()
    y = edge_modulation(x, shared=shared)
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
    # inside the patch the gate is sigmoid(0) = 1/2, and no edge passes a gradient
    assert torch.equal(y[..., 5:7, 5:7], x[..., 5:7, 5:7] / 2)
    assert torch.equal(x.grad[..., 5:7, 5:7], torch.full((1, channels, 2, 2), 0.5, dtype=dtype))
    torch.testing.assert_close(y, plain(x, shared), rtol=1e-4, atol=1e-5)


def test_the_plain_formula_gives_nan_there():
    x = torch.full((1, 1, 5, 5), 0.5, dtype=torch.float64, requires_grad=True)
    plain(x, shared=True).sum().backward()
    assert x.grad.isnan().any()


def test_nan_is_not_hidden():
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = torch.nan
    assert edge_modulation(x)[0, 0, 2, 2].isnan()


@pytest.mark.parametrize("shared", [True, False])
def test_layouts_empty_batches_and_half_precision(shared):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 6)
    y = edge_modulation(x, shared=shared)
    assert torch.equal(edge_modulation(x.contiguous(memory_format=torch.channels_last), shared=shared), y)
    assert torch.equal(edge_modulation(x.mT.contiguous().mT, shared=shared), y)
    assert edge_modulation(x[:0], shared=shared).shape == (0, 4, 6, 6)
    half = x.bfloat16().requires_grad_()
    z = edge_modulation(half, shared=shared)
    z.sum().backward()
    assert z.dtype == half.grad.dtype == torch.bfloat16
    torch.testing.assert_close(z.float(), y, rtol=0.05, atol=0.05)
