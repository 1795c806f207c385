"""Each operator beside its published form and beside a static convolution: 3x3, C -> C, no bias, in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import nn

from benchmarks.published_operators import PublishedMAGIC, grouped_mixture
from benchmarks.timing import Case, Form, compare
from magicseg.convs import MAGICConv2d
from magicseg.ops.per_sample_conv import per_sample_conv2d

SHAPES = ((4, 64, 64, 64), (12, 16, 128, 128), (2, 256, 16, 16))
"""[B, C, H, W]: feature maps of the middle, the shallow and the deep end of a U-Net."""


def main(arguments: Sequence[str] = ()) -> None:
    """Print times, peak memory and ratios for every operator and shape."""
    compare(dict(cases()), arguments)


def cases() -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield the name and the builder of each comparison; a further operator is a further line here."""
    for shape in SHAPES:
        size = "x".join(map(str, shape))
        yield f"MAGIC 1x on {size}", partial(magic_case, shape, num_kernels=1)
        yield f"MAGIC 4x on {size}", partial(magic_case, shape, num_kernels=4)
        yield f"convolution with 4 mixed kernels on {size}", partial(mixture_case, shape, num_kernels=4)


def magic_case(shape: tuple[int, int, int, int], num_kernels: int) -> Case:
    """Both forms of MAGIC, the released one also step by step as published."""
    convolution = partial(MAGICConv2d, shape[1], shape[1], 3, padding=1, bias=False, num_kernels=num_kernels)
    released = convolution(form="released")
    forms = {
        "static": nn.Conv2d(shape[1], shape[1], 3, padding=1, bias=False),
        "published": PublishedMAGIC(released),
        "released": released,
        "paper": convolution(form="paper"),
    }
    return forms, (torch.randn(shape, requires_grad=True),)


def mixture_case(shape: tuple[int, int, int, int], num_kernels: int) -> Case:
    """The convolution of every sample with its own mixture of kernels, which all these operators share."""
    B, C = shape[:2]
    inputs = (torch.randn(shape), torch.randn(num_kernels, C, C, 3, 3), torch.rand(B, num_kernels))
    forms: dict[str, Form] = {
        "published": grouped_mixture,
        "magicseg": partial(per_sample_conv2d, padding=1),
        "outputs": partial(per_sample_conv2d, padding=1, mix="outputs"),
    }
    return forms, tuple(tensor.requires_grad_() for tensor in inputs)
