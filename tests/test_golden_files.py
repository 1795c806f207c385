"""The harness must notice every kind of difference, or the golden tests prove nothing."""

from __future__ import annotations

import json

import golden_files
import numpy as np
import pytest
import torch
from golden_files import Golden, check_golden
from torch import nn


class TwoInTwoOut(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm = nn.BatchNorm1d(config["features"])
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, a, b, shift):
        return self.norm(a * b), a + shift


def arrays():
    """What a file holds, computed step by step."""
    torch.manual_seed(0)
    module = TwoInTwoOut({"features": 3}).double()
    inputs = {name: torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for name in ("a", "b")}
    shift, probes = torch.randn(4, 3, dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)
    stored = {f"param/{name}": p for name, p in module.named_parameters()}
    stored |= {f"buffer/{name}": b.clone() for name, b in module.named_buffers()}
    outputs = module(*inputs.values(), shift)
    loss = (outputs[0] * probes[0]).sum() + (outputs[1] * probes[1]).sum()
    leaves = {"grad_input": inputs, "grad_param": dict(module.norm.named_parameters(prefix="norm"))}
    for kind, named in leaves.items():
        gradients = torch.autograd.grad(loss, list(named.values()), retain_graph=True)
        stored |= {f"train/{kind}/{name}": g for name, g in zip(named, gradients, strict=True)}
    stored |= {"train/grad_param/unused": torch.zeros(1)}
    stored |= {f"train/buffer_after/{name}": b for name, b in module.named_buffers()}
    stored |= {f"input/{name}": value for name, value in inputs.items()} | {"input_const/shift": shift}
    for name, output, probe in zip(("y", "z"), outputs, probes, strict=True):
        stored |= {f"probe/{name}": probe, f"train/output/{name}": output}
    return {name: value.detach().numpy() for name, value in stored.items()}


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.setattr(golden_files, "CHECKED", set())

    def check(changed=None, build=TwoInTwoOut, **options):
        stored = arrays()
        if changed:
            stored[changed] = stored[changed] + 1e-3 * (1 + abs(stored[changed]).max())
        np.savez(tmp_path / "op_0.npz", config=json.dumps({"features": 3, "modes": ["train"]}), **stored)
        check_golden(tmp_path / "op_0.npz", build, **options)
        return golden_files.CHECKED

    return check


def test_equal_values_pass_and_count(check):
    assert check() == {"op_0"}
    assert check(call=lambda module, inputs: dict(zip("yz", module(*inputs.values()), strict=True))) == {"op_0"}


@pytest.mark.parametrize(
    "changed",
    ["output/y", "output/z", "grad_input/a", "grad_input/b", "grad_param/norm.weight", "grad_param/unused",
     "buffer_after/norm.running_mean"],
)  # fmt: skip
def test_every_difference_is_noticed(check, changed):
    with pytest.raises(AssertionError, match=f"{changed}: differs"):
        check(f"train/{changed}")


def test_a_counter_that_stands_still_is_noticed(check):
    with pytest.raises(AssertionError, match="num_batches_tracked: differs"):
        check("train/buffer_after/norm.num_batches_tracked")


def test_a_state_dict_of_another_form_is_noticed(check):
    with pytest.raises(RuntimeError, match="running_mean"):
        check(build=lambda config: nn.Linear(3, 3))


def test_outputs_under_other_names_are_noticed(check):
    with pytest.raises(AssertionError, match="instead of"):
        check(call=lambda module, inputs: {"y": module(*inputs.values())[0]})


def test_an_operator_without_files_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"No golden file nothing_<number>\.npz"):
        golden_files.golden_files("nothing")


def test_another_folder_may_hold_some_operators_only(tmp_path, monkeypatch):
    monkeypatch.setattr(golden_files, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError):
        golden_files.golden_files("magic")
    (tmp_path / "magic_papereq_0.npz").touch()
    (tmp_path / "magic_1.npz").touch()
    (tmp_path / "magic_notes.npz").touch()
    assert golden_files.golden_files("magic") == [tmp_path / "magic_1.npz"]
    assert golden_files.golden_files("sgdc") == []


def test_parts_are_fresh_tensors_and_counters_stay_integers():
    golden = Golden("name", {}, {"buffer/count": np.array(3), "buffer/mean": np.zeros(2)})
    part = golden.part("buffer", torch.float32)
    assert (part["count"].dtype, part["mean"].dtype) == (torch.int64, torch.float32)
    part["mean"] += 1
    assert not golden.part("buffer")["mean"].any()
