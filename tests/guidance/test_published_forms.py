from __future__ import annotations

from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
NAMES = ("dynamic branch of SGDC", "SGDC", "Sobel step of SGE", "SGE")


@pytest.fixture(autouse=True)
def _scripts_importable(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)


def test_every_case_is_tested_here():
    from benchmarks.published_guidance import cases

    assert set(cases()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_ours_and_published_compute_the_same(name):
    from benchmarks.published_guidance import cases

    torch.manual_seed(0)
    case = cases()[name]()
    if name == "SGDC":  # layer scales of 1e-6 would hide a difference
        torch.nn.init.ones_(case.ours.scale1)
        torch.nn.init.ones_(case.ours.scale2)
    inputs = [x.detach().double().requires_grad_() for x in case.inputs]
    results = []
    for form in (case.published, case.ours):
        outputs = (form.double() if isinstance(form, torch.nn.Module) else form)(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        torch.manual_seed(1)
        loss = torch.stack([(output * torch.randn_like(output)).sum() for output in outputs]).sum()
        results.append([*outputs, *torch.autograd.grad(loss, inputs)])
    for published, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, published, rtol=1e-8, atol=1e-10 * published.abs().max().item())
