"""A trained network leaves Python as a graph that holds for every batch size, or says where it cannot."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from magicseg.convs import list_convs, replace_convs

NAMES = list_convs()

BATCH_AS_GROUPS = {"odconv", "weightnet"}
"""Operators that run the batch as groups of one convolution, as each sample's kernel is not a mixture of a few
fixed ones: `torch.export` keeps the number of groups as a symbol, but in ONNX it is a constant of the graph."""


def network(name):
    """Return an encoder with a residual step, in evaluation."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(16, 2, 1),
    )
    assert replace_convs(model, name) == ["3", "5"]
    return model.eval()


def images(B):
    return torch.randn(B, 3, 12, 10, generator=torch.Generator().manual_seed(1))


def assert_same(got, expected):
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * (1 + expected.abs().max().item()))


@pytest.mark.parametrize("name", NAMES)
def test_torch_export_takes_every_batch_size(name):
    model = network(name)
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(model, (images(2),), dynamic_shapes=({0: batch},))
        run = program.module()
        for B in (1, 2, 5):
            assert_same(run(images(B)), model(images(B)))
    assert has_batch_as_groups(program) == (name in BATCH_AS_GROUPS)


def has_batch_as_groups(program):
    """Return whether a convolution's groups are computed from the batch."""
    calls = [node for node in program.run_decompositions().graph.nodes if node.op == "call_function"]
    groups = [node.args[8] for node in calls if node.target is torch.ops.aten.convolution.default]
    return any(isinstance(number, torch.fx.Node) for number in groups)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_trace_can_be_stored_and_takes_every_batch_size(name, tmp_path):
    model = network(name)
    batches = (2,) if name in BATCH_AS_GROUPS else (1, 2, 5)
    with torch.no_grad():
        torch.jit.trace(model, (images(2),)).save(tmp_path / "model.pt")
        run = torch.jit.load(tmp_path / "model.pt")
        for B in batches:
            assert_same(run(images(B)), model(images(B)))


def run_onnx(model, x, path, **options):
    """Return a function that runs the ONNX graph of ``model``, exported with the example x."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.onnx.export(model, (x,), dynamo=True, **options).save(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


@pytest.mark.parametrize("name", sorted(set(NAMES) - BATCH_AS_GROUPS))
def test_onnx_takes_every_batch_size(name, tmp_path):
    model = network(name)
    batch = torch.export.Dim("batch", min=1, max=64)
    run = run_onnx(model, images(2), tmp_path / "model.onnx", dynamic_shapes=({0: batch},))
    with torch.no_grad():
        for B in (1, 2, 5):
            assert_same(run(images(B)), model(images(B)))


@pytest.mark.parametrize("name", sorted(BATCH_AS_GROUPS))
def test_onnx_takes_the_batch_size_of_the_export(name, tmp_path):
    model = network(name)
    run = run_onnx(model, images(3), tmp_path / "model.onnx")
    with torch.no_grad():
        assert_same(run(images(3)), model(images(3)))
