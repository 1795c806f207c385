from functools import partial

import pytest
import timm.layers
import torch
from torch import nn
from torch.nn import functional

from magicseg.convs import CondConv2d, DYConv2d, MAGICConv2d
from magicseg.convs.create import CONVS
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.models.weight_standardisation import StdConv2d, StdKernelBankConv2d, standardise, standardised


class Uniform(KernelBankConv2d):
    """A user's own kernel bank: the mean of its kernels."""

    def weights(self, x):
        return x.new_full((len(x), self.num_kernels), 1 / self.num_kernels)


def test_standardised_by_hand():
    kernel = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64).reshape(1, 1, 2, 2)  # mean 3, variance 3.5
    expected = torch.tensor([-2.0, -1.0, 0.0, 3.0], dtype=torch.float64) / (3.5 + 1e-5) ** 0.5
    torch.testing.assert_close(standardise(kernel).flatten(), expected)


def test_std_conv_is_timms():
    torch.manual_seed(0)
    ours = StdConv2d(6, 8, 3, 2, 1, groups=2).double()
    reference = timm.layers.StdConv2d(6, 8, 3, 2, 1, groups=2, bias=True, eps=1e-5).double()
    reference.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, 9, 7).double()
    torch.testing.assert_close(ours(x), reference(x))


@pytest.mark.parametrize(
    "operator",
    [
        partial(MAGICConv2d, num_kernels=4),
        partial(MAGICConv2d, num_kernels=1, form="released"),
        CondConv2d,
        DYConv2d,
        partial(Uniform, num_kernels=2),
    ],
)
def test_the_mixed_kernel_is_standardised_for_each_sample(operator):
    torch.manual_seed(0)
    layer = standardised(operator, weight_std=True)(4, 6, 3, 2, 1).double().eval()
    x = torch.randn(3, 4, 8, 9).double()
    bank = layer.operator
    y = layer(x)
    for sample, pi, result in zip(x, bank.weights(x), y, strict=True):
        mixed = sum(weight * kernel for weight, kernel in zip(pi, bank.kernels, strict=True))
        filters = mixed.flatten(1)
        filters = (filters - filters.mean(1, keepdim=True)) / (filters.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        expected = functional.conv2d(sample, filters.view_as(mixed), stride=2, padding=1)
        torch.testing.assert_close(result, expected)
    y.square().sum().backward()
    assert bank.kernels.grad.abs().sum() > 0


def test_a_mixture_of_standardised_kernels_is_something_else():
    torch.manual_seed(0)
    bank = Uniform(4, 4, 3, padding=1, bias=False, num_kernels=2)
    x = torch.randn(1, 4, 8, 8)
    after = StdKernelBankConv2d(bank)(x)
    bank.kernels.data = standardise(bank.kernels.data)
    assert not torch.allclose(bank(x), after, rtol=0.1)


def test_nn_conv2d_is_standardised_and_others_are_left_alone_by_default():
    layer = standardised(nn.Conv2d, weight_std=False)(4, 4, 3)
    assert type(layer) is StdConv2d
    assert layer.bias is None
    assert type(standardised(partial(nn.Conv2d), weight_std=True)(4, 4, 3)) is StdConv2d
    assert type(standardised(DYConv2d, weight_std=False)(4, 4, 3)) is DYConv2d


@pytest.mark.parametrize("name", ["odconv", "ddconv", "dcd", "weightnet", "involution"])
def test_operators_that_do_more_than_mix_are_refused(name):
    with pytest.raises(
        ValueError, match=r"weight_std=True cannot .*; it can for CondConv2d, DYConv2d, MAGICConv2d and"
    ):
        standardised(CONVS[name], weight_std=True)(16, 16, 3, 1, 1)
