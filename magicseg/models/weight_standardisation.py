"""Weight standardisation (Qiao et al., 2019): every filter has mean 0 and variance 1 whenever it is used."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs import MAGICConv2d
from magicseg.convs.kernel_bank import KernelBankConv2d
from magicseg.models.model import Conv
from magicseg.ops.per_sample_conv import conv2d_own_kernel, mix_kernels

EPS = 1e-5


def standardise(kernels: Tensor) -> Tensor:
    """Standardise each filter of kernels [..., O, C, kh, kw] over its last three axes (population variance)."""
    variance, mean = torch.var_mean(kernels, dim=(-3, -2, -1), correction=0, keepdim=True)
    return (kernels - mean) * torch.rsqrt(variance + EPS)


class StdConv2d(nn.Conv2d):
    """`nn.Conv2d` with standardised filters, as the ResNet of TransUNet uses it."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, O, H', W']."""
        return functional.conv2d(
            x, standardise(self.weight), self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class StdKernelBankConv2d(nn.Module):
    """A dynamic convolution without bias, whose kernel is standardised per sample and filter after it has been mixed.

    A mixture of standardised kernels is not standardised, so each kernel of the bank stays as it is.

    Args:
        operator: CondConv, DYConv or MAGIC, or another kernel bank that keeps the base class's forward pass.

    Raises:
        ValueError: the operator does more with its kernels than to mix and apply them.
    """

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        plain = type(operator).forward is KernelBankConv2d.forward
        if not (
            plain or isinstance(operator, MAGICConv2d)
        ):  # MAGIC's own forward pass is a shortcut to the same values
            raise ValueError(
                f"weight_std=True cannot standardise the kernel of {type(operator).__name__}; it can for CondConv2d, "
                "DYConv2d, MAGICConv2d and subclasses of KernelBankConv2d that keep its forward."
            )
        self.operator: KernelBankConv2d = operator  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, O, H', W']."""
        bank = self.operator
        kernels = standardise(mix_kernels(bank.kernels, bank.weights(x)))
        return conv2d_own_kernel(x, kernels, None, bank.stride, bank.padding, bank.dilation, bank.groups)


def standardised(conv: Conv, weight_std: bool) -> Conv:
    """Return what builds ``conv`` for a network of standardised convolutions without bias.

    nn.Conv2d itself becomes StdConv2d; another convolution stays as it is, or with ``weight_std`` becomes standardised.
    """

    def build(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> nn.Module:
        layer = conv(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        if type(layer) is nn.Conv2d:
            return StdConv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        return StdKernelBankConv2d(layer) if weight_std else layer

    return build
