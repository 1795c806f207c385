import re
import socket
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import load_state_dict
from torch import nn

from magicseg.models.pretrained import load_pretrained

NAME = "resnet18.tv_in1k"


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return timm.create_model("resnet18").state_dict()


def encoder(**options):
    torch.manual_seed(1)
    return timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3, 4), **options)


def assert_loaded(network, weights):
    own = network.state_dict()
    assert own
    assert all(torch.equal(value, weights[name]) for name, value in own.items())


def test_false_leaves_the_encoder_alone():
    network, same = encoder(), encoder()
    load_pretrained(network, NAME, False)
    assert_loaded(network, same.state_dict())


def test_a_file_of_either_kind_is_loaded_without_its_classifier(tmp_path, weights):
    save_file(weights, tmp_path / "model.safetensors")
    torch.save(weights, tmp_path / "resnet18.pth")
    torch.save({"model": weights}, tmp_path / "nested.pth")  # as DeiT's authors publish
    torch.save({k: v for k, v in weights.items() if not k.startswith("fc.")}, tmp_path / "headless.pth")
    for file in tmp_path.iterdir():
        network = encoder()
        load_pretrained(network, NAME, str(file))
        assert_loaded(network, weights)


def test_old_files_do_not_count_batches(tmp_path, weights):
    old = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    network = encoder()
    load_pretrained(network, NAME, str(tmp_path / "old.pth"))
    assert_loaded(network, weights)


def test_true_takes_what_the_hub_gives_and_draws_nothing(monkeypatch, weights):
    asked = []
    monkeypatch.setattr(
        "magicseg.models.pretrained.load_state_dict_from_hf",
        lambda name, weights_only: asked.append((name, weights_only)) or dict(weights),
    )
    network = encoder()
    state = torch.get_rng_state()
    load_pretrained(network, NAME, True)
    assert_loaded(network, weights)
    assert asked == [("timm/resnet18.tv_in1k", True)]
    assert torch.equal(torch.get_rng_state(), state)


def test_adapt_sees_the_weights_before_they_are_compared(tmp_path, weights):
    torch.save(weights, tmp_path / "w.pth")
    shallow = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3))
    file = str(tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"unexpected: layer4\.0\.conv1\.weight; .* and 25 more\.$"):
        load_pretrained(shallow, NAME, file)
    load_pretrained(shallow, NAME, file, lambda w: {k: v for k, v in w.items() if not k.startswith("layer4.")})
    assert_loaded(shallow, weights)


def test_without_network_the_message_says_which_file_to_place_where(monkeypatch, tmp_path):
    def blocked(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub client's pauses between its attempts
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    monkeypatch.setattr(socket.socket, "connect", blocked)
    with pytest.raises(ValueError, match=r"resnet18\.tv_in1k are not in the hub's cache") as caught:
        load_pretrained(encoder(), NAME, True)
    for part in (
        "model.safetensors of https://huggingface.co/timm/resnet18.tv_in1k",
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "set pretrained to its path",
        "pretrained=false",
    ):
        assert part in str(caught.value)


def test_what_does_not_fit_is_named_and_nothing_changes(tmp_path, weights):
    torn = {name: value for name, value in weights.items() if name != "layer1.0.conv1.weight"}
    torch.save({**torn, "conv1.weight": torch.zeros(64, 1, 7, 7), "stem.weight": torch.zeros(1)}, tmp_path / "torn.pth")
    network, same = encoder(), encoder()
    text = (
        f"The weights of {tmp_path}/torn.pth do not fit the encoder (resnet18.tv_in1k). "
        "missing: layer1.0.conv1.weight. unexpected: stem.weight. "
        "of another shape: conv1.weight [64, 1, 7, 7], in the network [64, 3, 7, 7]."
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        load_pretrained(network, NAME, str(tmp_path / "torn.pth"))
    assert_loaded(network, same.state_dict())


def test_files_that_are_no_weights(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.pth: there is no such file"):
        load_pretrained(encoder(), NAME, str(tmp_path / "nowhere.pth"))
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("not weights")
        with pytest.raises(ValueError, match="is not a file of weights"):
            load_pretrained(encoder(), NAME, str(tmp_path / name))
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")  # loading it would run code
    with pytest.raises(ValueError, match="is not a file of weights"):
        load_pretrained(encoder(), NAME, str(tmp_path / "module.pth"))
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="holds more than weights"):
        load_pretrained(encoder(), NAME, str(tmp_path / "other.pth"))


class Touches:
    """Loading it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_runs_no_code_even_if_timm_allows_it(monkeypatch, tmp_path):
    monkeypatch.setattr(load_state_dict, "__defaults__", (True, "cpu", False))  # as in timm 1.0.15
    torch.save({"weight": Touches(tmp_path / "touched")}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match="is not a file of weights"):
        load_pretrained(encoder(), NAME, str(tmp_path / "code.pth"))
    assert not (tmp_path / "touched").exists()


def test_names_without_weights_are_refused():
    with pytest.raises(ValueError, match="knows no pretrained weights 'no_such_network'"):
        load_pretrained(encoder(), "no_such_network", True)


@pytest.mark.parametrize("pretrained", [None, 1, ["a"]])
def test_other_values_are_refused(pretrained):
    with pytest.raises(ValueError, match="pretrained must be true, false or the path of a file"):
        load_pretrained(encoder(), NAME, pretrained)
