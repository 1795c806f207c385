"""A run's network leaves Python as a graph that gives the same outputs, with a note that says how to use it."""

import hashlib
import io
import json
import sys

import pytest
import torch
from command_line import call
from saved_run import save_run

from magicseg.assembly.trained import load_network
from magicseg.data.sources.intensity import INTENSITIES
from magicseg.errors import UserError
from magicseg.inference import export as exporting
from magicseg.inference.export import SCALING, export, note_of


def images(batch, channels=1):
    return torch.rand(batch, channels, 32, 32, generator=torch.Generator().manual_seed(7))


def test_torch_graphs_take_every_batch_size(tmp_path):
    network = load_network(save_run(tmp_path / "run", "conv=magic_4x"))
    assert export(network, "torch", tmp_path / "m.pt2") <= 1e-4
    run = torch.export.load(tmp_path / "m.pt2").module()
    with torch.no_grad():
        for batch in (1, 2, 5):
            torch.testing.assert_close(run(images(batch)), network.model(images(batch)), rtol=0, atol=1e-4)


def test_onnx_graphs_take_every_batch_size(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = load_network(save_run(tmp_path / "run", "conv=magic_4x"))
    assert export(network, "onnx", tmp_path / "m.onnx") <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in (*session.get_inputs(), *session.get_outputs())] == ["images", "logits"]
    with torch.no_grad():
        for batch in (1, 2, 5):
            logits = session.run(["logits"], {"images": images(batch).numpy()})[0]
            torch.testing.assert_close(torch.from_numpy(logits), network.model(images(batch)), rtol=0, atol=1e-4)


def test_onnx_says_which_convolution_it_cannot_take(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = load_network(save_run(tmp_path / "run", "conv=odconv"))
    with pytest.raises(UserError, match=r"conv=odconv cannot be exported with format=onnx for every batch size.*torch"):
        export(network, "onnx", tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_the_note_says_all_that_is_needed(rgb, tmp_path):
    path = tmp_path / "m.pt2"
    difference = export(rgb, "torch", path)
    note = json.loads(note_of(path).read_text())
    assert note["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert note["input"] == {"name": "images", "type": "float32", "shape": ["batch", 3, 32, 32]}
    assert note["output"] == {"name": "logits", "shape": ["batch", 1, 32, 32]}
    assert (note["label"], note["classes"]) == ("logit > 0", ["background", "gland"])
    assert note["steps"]["intensity"]["rule"] == "as_they_are"
    assert note["steps"]["normalise"] is None
    assert note["difference"] == {"maximum": difference, "batch_sizes": [1, 3]}
    assert note["run"]["backbone"] == "unet"
    namespace = {"torch": torch, "images": images(2, 3)}
    call_text = note["call"].replace(path.name, str(path))
    assert eval(call_text, namespace).shape == (2, 1, 32, 32)


def test_the_note_names_imagenets_statistics(tmp_path):
    network = load_network(save_run(tmp_path / "run", "dataset=isic", "recipe=isic", "conv=regular"))
    export(network, "torch", tmp_path / "m.pt2")
    note = json.loads(note_of(tmp_path / "m.pt2").read_text())
    assert note["steps"]["normalise"]["mean"] == pytest.approx([0.485, 0.456, 0.406])


@pytest.mark.parametrize("error", [2e-4, float("nan")])
def test_another_graph_is_refused(grey, tmp_path, monkeypatch, error):
    form = exporting.FORMATS["torch"]
    wrong = form._replace(load=lambda content: lambda x: form.load(content)(x) + error)
    monkeypatch.setitem(exporting.FORMATS, "torch", wrong)
    with pytest.raises(UserError, match=r"differ from the network's by up to .*0.0001 is allowed. Nothing was written"):
        export(grey, "torch", tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_for_one_batch_size_is_refused(grey, tmp_path, monkeypatch):
    def fixed(model, x):
        content = io.BytesIO()
        torch.export.save(torch.export.export(model, (x,)), content)
        return content.getvalue()

    monkeypatch.setitem(exporting.FORMATS, "torch", exporting.FORMATS["torch"]._replace(make=fixed))
    with pytest.raises(UserError, match=r"conv=regular cannot be exported with format=torch for every batch size"):
        export(grey, "torch", tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_unasked(grey, tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"m.pt2 is there already.*overwrite=true"):
        export(grey, "torch", path)
    assert path.read_bytes() == b"mine"
    export(grey, "torch", path, overwrite=True)
    assert path.read_bytes() != b"mine"


def test_mistakes_are_explained(grey, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"Unknown format 'onx'. Did you mean onnx\?"):
        export(grey, "onx", tmp_path / "m.onnx")
    with pytest.raises(UserError, match=r"m.onnx must end in .pt2"):
        export(grey, "torch", tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"format=onnx needs the package onnx: pip install magicseg\[export\]"):
        export(grey, "onnx", tmp_path / "m.onnx")


def test_every_rule_is_put_into_words():
    assert SCALING.keys() == INTENSITIES.keys()


def test_the_command(grey_run, tmp_path):
    result = call("scripts/export.py", f"run={grey_run}", "format=torch", f"output={tmp_path / 'm.pt2'}")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Outputs differ from the network's by at most" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"m.pt2", "m.pt2.json"}
