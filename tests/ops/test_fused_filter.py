"""The Triton kernels without a GPU, in the interpreter and through the compiler; and on a GPU where there is one."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from command_line import call

from magicseg.ops import spatially_varying_filter as module

pytest.importorskip("triton")
CPU = torch.device("cpu")


@pytest.fixture
def works():
    """``fused_filter_works`` without the memory of earlier calls."""
    return module.fused_filter_works.__wrapped__


def test_equals_the_plain_formula_in_the_interpreter():
    run = call("tests/ops/interpreted_filter.py")
    assert run.returncode == 0, run.stderr[-2000:]
    report = json.loads(run.stdout)
    assert len(report["float64"]) == 6
    for name, differences in report["float64"].items():
        assert max(differences) <= 1e-13, name
    assert max(report["float32"]) <= 2e-6
    assert report["repeated"]
    assert report["works"]


@pytest.mark.parametrize("capability", [75, 80, 90])
@pytest.mark.parametrize(("kernel", "maps"), [("filtered", 5), ("gradient_of_x", 5), ("gradient_of_logits", 7)])
@pytest.mark.parametrize("dtype", ["*fp32", "*fp64"])
def test_compiles_for_a_gpu(kernel, maps, dtype, capability):
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from magicseg.ops import fused_filter_kernels

    function = getattr(fused_filter_kernels, kernel)
    types = {**dict.fromkeys(function.arg_names[:maps], dtype), **dict.fromkeys("CHW", "i32")}
    constants = {"K": 7, "CHANNELS": 16, "POSITIONS": 128}
    source = ASTSource(function, {**types, **dict.fromkeys(constants, "constexpr")}, constants)
    compiled = compile(source, target=GPUTarget("cuda", capability, 32))
    assert len(compiled.asm["cubin"]) > 0
    assert compiled.metadata.shared <= 48 * 1024  # bytes that every GPU has


def test_where_the_kernels_do_not_run_a_warning_tells_why(works):
    with pytest.warns(UserWarning, match="No fused filter on cpu; PyTorch's operations take its place. .+"):
        assert not works(CPU)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_kernels_with_wrong_values_are_not_used(monkeypatch, works, wrong):
    from magicseg.ops import fused_filter

    class Wrong(module._SoftmaxFilter):
        @staticmethod
        def forward(ctx, x, logits):
            y = module._SoftmaxFilter.forward(ctx, x, logits)
            return y * 1.01 if wrong == 0 else y

        @staticmethod
        def backward(ctx, grad):
            gradients = module._SoftmaxFilter.backward(ctx, grad)
            return tuple(g * 1.01 if wrong == i else g for i, g in enumerate(gradients, 1))

    monkeypatch.setattr(fused_filter, "fused_filter", module._SoftmaxFilter.apply)
    assert works(CPU)
    monkeypatch.setattr(fused_filter, "fused_filter", Wrong.apply)
    with pytest.warns(UserWarning, match="not close"):
        assert not works(CPU)


def test_trying_the_kernels_draws_no_random_number(monkeypatch, works):
    from magicseg.ops import fused_filter

    monkeypatch.setattr(fused_filter, "fused_filter", module._SoftmaxFilter.apply)
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        assert works(CPU)
    assert torch.equal(before, torch.random.get_rng_state())


def test_without_triton_the_plain_form_remains(monkeypatch, works):
    monkeypatch.setitem(sys.modules, "magicseg.ops.fused_filter", None)
    with pytest.warns(UserWarning, match="ModuleNotFoundError"):
        assert not works(CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_on_a_gpu(dtype):
    torch.manual_seed(0)
    x, logits, grad = (torch.randn(2, *size, 61, 67) for size in ((36,), (4, 49), (36,)))
    results = []
    for device in ("cpu", "cuda"):
        leaves = [t.to(device, dtype).requires_grad_() for t in (x, logits)]
        y = module.spatially_varying_filter(*leaves)
        results.append([y, *torch.autograd.grad(y, leaves, grad.to(device, dtype))])
    assert module.fused_filter_works(results[1][0].device)
    tolerance = {torch.float32: 4e-6, torch.float64: 1e-12, torch.bfloat16: 2e-2}[dtype]
    for expected, got in zip(*results, strict=True):
        assert (got.cpu() - expected).abs().max() <= tolerance * max(1, expected.abs().max())
