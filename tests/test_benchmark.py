from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magicseg.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(autouse=True)
def _scripts_importable(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setenv("KINETO_LOG_LEVEL", "99")


@pytest.mark.parametrize("kernels", [1, 4])
def test_published_and_released_magic_are_the_same_computation(kernels):
    from benchmarks.operators import magic_case

    torch.manual_seed(0)
    forms, (x,) = magic_case((2, 32, 8, 8), kernels)
    y, expected = forms["released"](x), forms["published"](x)
    torch.testing.assert_close(y, expected, rtol=0, atol=2e-6 * expected.abs().max().item())
    gradients = [torch.autograd.grad(result.square().sum(), x)[0] for result in (y, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=2e-6 * gradients[1].abs().max().item())


@pytest.mark.parametrize("side", [8, 120])  # all samples at once, and one by one
def test_all_forms_of_the_mixed_convolution_are_the_same_computation(side):
    from benchmarks.operators import mixture_case

    torch.manual_seed(0)
    forms, inputs = mixture_case((2, 16, side, side), 3)
    expected = forms["published"](*inputs)
    wanted = torch.autograd.grad(expected.square().sum(), inputs)
    for form in (forms["magicseg"], forms["outputs"]):
        y = form(*inputs)
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)
        gradients = torch.autograd.grad(y.square().sum(), inputs)
        for got, each in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(got, each, rtol=0, atol=1e-5 * each.abs().max().item())


def test_costs_are_measured_and_printed_as_ratios(capsys):
    from benchmarks.timing import compare

    x = torch.zeros(1000, 1000, requires_grad=True)
    forms = {"published": lambda x: x + 1, "twice": lambda x: [x + 1, x + 1]}
    compare({"addition": lambda: (forms, (x,))}, ["repeats=2", "threads=1"])
    title, published, twice = capsys.readouterr().out.strip().splitlines()
    assert title == "addition, threads=1 (published = 1.00)"
    assert published.endswith("(1.00)")
    peaks = [float(line.split("peak")[1].split()[0]) for line in (published, twice)]
    assert 7.6 <= peaks[0] < peaks[1]  # a result and a gradient of 4 MB each
    assert x.grad is None


def test_an_unknown_subject_is_answered_with_the_nearest():
    from benchmark import main

    with pytest.raises(UserError, match=r"Unknown benchmark 'operator'\. Did you mean operators"):
        main(["operator"])
    with pytest.raises(UserError, match=r"operators\|guidance\|metrics"):
        main([])
