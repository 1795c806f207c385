from __future__ import annotations

import pytest
import torch
from torchvision.ops import deform_conv2d

from magicseg.ops.deformable_conv import deformable_conv2d

GEOMETRIES = [((1, 1), (1, 1), (1, 1)), ((2, 1), (0, 2), (1, 2)), ((1, 2), (2, 0), (2, 1))]


def arguments(stride, padding, dilation, groups, dtype=torch.float64, spread=3.0):
    """Return x, one kernel for all samples, offsets that lead out of the image here and there, and factors."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 9, 11, dtype=dtype)
    kernel = torch.randn(6, 4 // groups, 3, 2, dtype=dtype)
    shape = torch.nn.functional.conv2d(x, kernel, None, stride, padding, dilation, groups).shape[2:]
    offset, mask = spread * torch.randn(2, 12, *shape, dtype=dtype), torch.rand(2, 6, *shape, dtype=dtype)
    return [tensor.requires_grad_() for tensor in (x, kernel, offset, mask)]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_equals_torchvision_with_its_gradients(geometry, groups):
    inputs = arguments(*geometry, groups)
    x, kernel, offset, mask = inputs
    y = deformable_conv2d(x, kernel, offset, mask, *geometry, groups)
    expected = deform_conv2d(x, offset, kernel, None, *geometry, mask)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    for got, gradient in zip(
        torch.autograd.grad(y.square().sum(), inputs), torch.autograd.grad(expected.square().sum(), inputs), strict=True
    ):
        torch.testing.assert_close(got, gradient, rtol=1e-10, atol=1e-10)


def test_in_single_precision_as_near_the_truth_as_torchvision():
    x, kernel, offset, mask = (t.detach() for t in arguments(*GEOMETRIES[0], 1, torch.float32))
    truth = deform_conv2d(x.double(), offset.double(), kernel.double(), None, *GEOMETRIES[0], mask.double())
    y = deformable_conv2d(x, kernel, offset, mask, *GEOMETRIES[0])
    assert (y - truth).abs().max() < 2e-6 * truth.abs().max()


def test_each_sample_its_own_kernel():
    x, kernel, offset, _ = arguments(*GEOMETRIES[0], 2)
    kernels = torch.stack([kernel, torch.randn_like(kernel)])
    y = deformable_conv2d(x, kernels, offset, None, *GEOMETRIES[0], 2)
    for b in range(2):
        one = slice(b, b + 1)
        expected = deform_conv2d(x[one], offset[one], kernels[b], None, *GEOMETRIES[0])
        torch.testing.assert_close(y[one], expected, rtol=1e-12, atol=1e-12)


def test_samples_half_way_between_pixels():
    x = torch.tensor([[[[1.0, 3.0], [5.0, 9.0]]]])
    offset = torch.tensor([0.5, 0.5])[None, :, None, None].expand(1, 2, 2, 2)  # half a row and half a column further
    y = deformable_conv2d(x, torch.ones(1, 1, 1, 1), offset)
    assert y.tolist() == [[[[4.5, 3.0], [3.5, 2.25]]]]  # beyond the last row and column there are zeros


def test_no_position_far_outside_sees_anything():
    x = torch.ones(1, 1, 4, 4)
    for far in (1e3, -1e3, 1e12, -1e12):
        assert not deformable_conv2d(x, torch.ones(1, 1, 1, 1), torch.full((1, 2, 4, 4), far)).any()
