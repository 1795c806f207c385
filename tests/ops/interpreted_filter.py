"""Run the Triton kernels in Triton's interpreter, on the CPU, and print how far they are from the plain formula.

A process of its own, because Triton reads TRITON_INTERPRET when it is imported.
"""

import json
import os

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch.nn import functional

from magicseg.ops.fused_filter import fused_filter
from magicseg.ops.spatially_varying_filter import fused_filter_works

SHAPES = {
    "one voxel": (1, 1, 1, 1, 1),
    "kernel larger than the map": (2, 3, 7, 3, 2),
    "two blocks of positions": (2, 4, 3, 13, 11),
    "two blocks of channels": (1, 19, 3, 6, 5),
    "a channel alone": (3, 1, 5, 7, 4),
    "exact blocks": (1, 16, 3, 8, 16),
}
"""N, C, k, H, W."""


def plain(x, logits):
    taps = logits.shape[1]
    k = round(taps**0.5)
    patches = functional.unfold(x, k, padding=k // 2).view(*x.shape[:2], taps, *x.shape[2:])
    return (patches * logits.softmax(1).unsqueeze(1)).sum(2)


def differences(shape, dtype):
    N, C, k, H, W = shape
    torch.manual_seed(0)
    x = torch.randn(N, C, H, W, dtype=dtype, requires_grad=True)
    logits = torch.randn(N, k * k, H, W, dtype=dtype).mul_(30).requires_grad_()
    grad = torch.randn(N, C, H, W, dtype=dtype)
    y, expected = fused_filter(x, logits), plain(x, logits)
    pairs = zip(
        (y, *torch.autograd.grad(y, (x, logits), grad)),
        (expected, *torch.autograd.grad(expected, (x, logits), grad)),
        strict=True,
    )
    return [(got - wanted).abs().max().item() for got, wanted in pairs]


def repeated():
    """Return whether two runs are equal bit for bit, and whether a gradient alone equals that of both."""
    x = torch.randn(1, 2, 5, 6, requires_grad=True)
    logits = torch.randn(1, 9, 5, 6, requires_grad=True)
    both = torch.autograd.grad(fused_filter(x, logits).square().sum(), (x, logits))
    alone = [torch.autograd.grad(fused_filter(x, logits).square().sum(), leaf)[0] for leaf in (x, logits)]
    return all(torch.equal(a, b) for a, b in zip(both, alone, strict=True))


if __name__ == "__main__":
    report = {
        "float64": {name: differences(shape, torch.float64) for name, shape in SHAPES.items()},
        "float32": differences((1, 4, 7, 9, 9), torch.float32),
        "repeated": repeated(),
        "works": fused_filter_works(torch.device("cpu")),
    }
    print(json.dumps(report))
