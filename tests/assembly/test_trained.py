"""A run's folder gives back its network, or says what keeps it from doing so."""

import pytest
import torch
from saved_run import RGB, edit_config, save_run

from magicseg.assembly.checkpoint import load_checkpoint, save_checkpoint
from magicseg.assembly.trained import NEEDED, load_network
from magicseg.errors import UserError


def test_the_network_has_the_weights_of_the_checkpoint(saved):
    expected = load_checkpoint(saved / "checkpoints" / "best.pt")["model"]
    network = load_network(saved)
    assert all(torch.equal(value, expected[name]) for name, value in network.model.state_dict().items())
    assert not network.model.training
    assert (network.epoch, network.classes, network.preprocessing.size) == (2, ("RV", "Myo", "LV"), (32, 32))
    assert network.checkpoint == saved / "checkpoints" / "best.pt"


def test_the_recipe_chooses_the_checkpoint(tmp_path):
    assert load_network(save_run(tmp_path, *RGB)).checkpoint.name == "last.pt"


def test_the_kernel_attention_is_as_hot_as_when_the_checkpoint_was_written(tmp_path):
    network = load_network(save_run(tmp_path, "conv=dyconv"))
    found = {module.temperature for module in network.model.modules() if hasattr(module, "temperature")}
    assert found == {34 - 2 * 3}  # after two epochs


def test_pretrained_weights_are_not_fetched(tmp_path):
    save_run(tmp_path, "backbone=res2net_small", "recipe.size=128", "~backbone.network.width")
    edit_config(tmp_path, "backbone.network.pretrained", "no/such/file")
    assert load_network(tmp_path).preprocessing.size == (128, 128)


@pytest.mark.parametrize("key", NEEDED)
def test_a_key_that_lacks_is_named(saved, key):
    edit_config(saved, key, ...)
    with pytest.raises(UserError, match=rf"config.yaml lacks {key} \(.*another version"):
        load_network(saved)


def test_all_keys_that_lack_are_named(saved):
    edit_config(saved, "recipe", "acdc")
    with pytest.raises(UserError, match=r"lacks recipe.budget .*, recipe.size .*, recipe.selection"):
        load_network(saved)


def test_folders_without_a_run(saved, tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not the folder of a run: it has no config.yaml"):
        load_network(tmp_path / "nowhere")
    (saved / "status.json").write_text('{"state": "interrupted"}')
    with pytest.raises(UserError, match="is interrupted; only a finished one"):
        load_network(saved)
    (saved / "status.json").write_text('{"state": "finished"}')
    assert load_network(saved).epoch == 2


@pytest.mark.parametrize(
    "content", [b"- 1\n- 2\n", b"a: [", b"\xff\xfe\x00", b"a: ${\n", b"a: !!python/object/apply:os.system [x]"]
)
def test_a_configuration_that_is_none(saved, content):
    (saved / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"config.yaml"):
        load_network(saved)


def test_a_checkpoint_that_does_not_fit(saved):
    path = saved / "checkpoints" / "best.pt"
    checkpoint = load_checkpoint(path)
    save_checkpoint(path, {**checkpoint, "model": dict(list(checkpoint["model"].items())[1:])})
    with pytest.raises(UserError, match=r"checkpoints does not fit the network .*config.yaml describes.*Missing key"):
        load_network(saved)
    save_checkpoint(path, {"model": checkpoint["model"]})
    with pytest.raises(UserError, match=r"checkpoints does not fit the network .*config.yaml describes.*epoch"):
        load_network(saved)
    path.unlink()
    with pytest.raises(UserError, match=r"best.pt does not exist"):
        load_network(saved)
