"""A run's configuration from elsewhere cannot make this machine do anything but build a known network."""

import os
import sys
from pathlib import Path

import pytest
from command_line import PROJECT, call
from omegaconf import OmegaConf
from saved_run import edit_config

from magicseg.assembly.trained import load_config, load_network
from magicseg.assembly.trust import _entries, _is_known
from magicseg.errors import UserError
from magicseg.runs import RunFolder
from magicseg.training.run import run as run_command

TARGETS = [
    "os.system",
    "builtins.eval",
    "subprocess.run",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "functools.partial",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load",
    "torch.nn.functional.relu",
    "torch.nn.utils.parametrize.register_parametrization",
    "torch.nn.modules.module.torch.load",
    "torch.nn.Module.load_state_dict",
    "torch.nn.Parameter",
    "torch.optim.lr_scheduler.LambdaLR",
    "magicseg.x.os.system",
    "magicseg.convs.create.torch.hub.load",
    "magicseg.convs.magic.torch.nn.functional.relu",
    "magicseg.convs.replace_convs",
    "magicseg.models.pretrained.load_state_dict",
    "magicseg.models.pretrained._read",
    "magicseg.files.write_text",
    "magicseg.data.prepare",
    "magicseg.assembly.checkpoint.load_checkpoint",
    "magicseg.convs.NoSuchConv2d",
    "torch.nn",
    "torch.nn.",
    "trap.Conv",
    "",
    7,
    None,
    ["torch.nn.Conv2d"],
]


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that leaves a mark when it is imported, and system calls that leave one when they are made."""
    mark = tmp_path / "executed"
    (tmp_path / "trap.py").write_text(f"open({str(mark)!r}, 'w')\nfrom torch.nn import Conv2d as Conv\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(os, "system", lambda command: mark.touch())
    yield mark
    sys.modules.pop("trap", None)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_unknown_targets_are_refused_and_not_run(saved, trap, target):
    edit_config(saved, "conv.operator._target_", target)
    with pytest.raises(UserError, match=r"config.yaml: conv.operator._target_ is .*trust=true"):
        load_network(saved)
    assert not trap.exists()


@pytest.mark.parametrize(
    "key",
    [
        "conv.operator.padding",
        "backbone.network.scope",
        "recipe.optimizer.lr",
        "recipe.loss.dice",
        "dataset.name",
        "trainer",
        "protocol.average",
        "anything.else",
    ],
)
@pytest.mark.parametrize("wrap", [lambda node: node, lambda node: [1, [node]], lambda node: {"_args_": [node]}])
def test_targets_are_found_wherever_they_hide(saved, trap, key, wrap):
    edit_config(saved, key, wrap({"_target_": "os.system", "_args_": [f"touch {trap}"]}))
    with pytest.raises(UserError, match=rf"{key}[\w.]*\._target_ is 'os.system'"):
        load_network(saved)
    assert not trap.exists()


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${seed}", "torch.nn.${oc.decode:Conv2d}", "a ${x} b"])
@pytest.mark.parametrize("key", ["dataset.root", "conv.operator._target_"])
def test_interpolations_are_refused(saved, key, text):
    path = saved / "config.yaml"
    config = OmegaConf.load(path)
    OmegaConf.update(config, key, "PLACEHOLDER")
    OmegaConf.save(config, path)
    path.write_text(path.read_text().replace("PLACEHOLDER", f"'{text}'"))
    with pytest.raises(UserError, match=rf"{key} is .* holds no"):
        load_config(RunFolder(saved))


def test_trust_lets_ones_own_operator_through(saved, trap):
    edit_config(saved, "conv.operator", {"_target_": "trap.Conv", "_partial_": True})
    with pytest.raises(UserError, match="trust=true"):
        load_network(saved)
    assert not trap.exists()
    with pytest.raises(UserError, match="does not fit the network"):  # its weights are another convolution's
        load_network(saved, trust=True)
    assert trap.exists()


def test_evaluating_again_and_predicting_refuse_too(saved, trap, configure, tmp_path):
    edit_config(saved, "conv.operator._target_", "trap.Conv")
    (saved / "status.json").write_text('{"state": "finished"}')
    (saved / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"conv.operator._target_ is 'trap.Conv'.*trust=true"):
        run_command(configure("mode=evaluate", f"run={saved}"))
    (tmp_path / "a.npy").touch()
    for script, option in (("predict", f"input={tmp_path / 'a.npy'}"), ("export", "format=torch")):
        result = call(f"scripts/{script}.py", f"run={saved}", option, f"output={tmp_path / 'out'}")
        assert result.returncode == 1
        assert "trust=true" in result.stderr
    assert not trap.exists()


def known_files():
    return [path for path in (PROJECT / "configs").rglob("*.yaml") if "hydra" not in path.parts]


@pytest.mark.parametrize("path", known_files(), ids=lambda path: str(Path(path).relative_to(PROJECT / "configs")))
def test_every_configuration_of_the_project_is_known(path):
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    targets = [value for key, value in _entries(content, "") if key.endswith("_target_")]
    assert [target for target in targets if not _is_known(target)] == []


def test_the_project_has_targets_to_know():
    texts = [path.read_text() for path in known_files()]
    assert sum("_target_" in text for text in texts) > 20
