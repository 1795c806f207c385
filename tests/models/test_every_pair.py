"""Every convolution with every backbone: builds, makes one training step, and one evaluation; none stays on the CPU."""

import pytest
import torch
from command_line import PROJECT, configuration
from omegaconf import DictConfig, open_dict
from torch._subclasses.fake_tensor import FakeTensorMode

from magicseg.assembly.build import build_model
from magicseg.ops import spatially_varying_filter
from magicseg.training.setup import build_loss

CONVS = sorted(path.stem for path in (PROJECT / "configs" / "conv").glob("*.yaml"))
CONFIGS = (PROJECT / "configs" / "backbone").glob("*.yaml")
# a size of another backbone has defaults
BACKBONES = sorted(path.stem for path in CONFIGS if "defaults:" not in path.read_text())
RES2NET = [
    f"backbone.network.{setting}"
    for setting in ("width=8", "layers=[1,1,1,1]", "decoder_width=8", "patch_sizes=[4,2,1,1]", "pretrained=false")
]
TRANSUNET = [
    f"backbone.network.{setting}"
    for setting in ("width=16", "units=[1,1,1]", "hidden=16", "layers=1", "heads=2", "mlp=32")
]
TRANSFUSE = [
    f"backbone.network.{setting}"
    for setting in ("width=16", "layers=[1,1,1]", "transformer=deit_tiny_patch16_224", "depth=1")
]
LEVIT = [
    f"backbone.network.{setting}"
    for setting in ("dims=[64,64,64]", "key_dim=8", "heads=[2,3,4]", "depths=[1,1,1]", "decoder=[16,12,8]")
]
TINY = {
    "res2net": RES2NET,
    "cto": RES2NET,
    "transunet": TRANSUNET,
    "transfuse": TRANSFUSE,
    "levit_unet": LEVIT,
}


def tiny(conv: str, backbone: str) -> DictConfig:
    small = ["recipe.size=32", *TINY.get(backbone, ["backbone.network.width=16"])]
    config = configuration(f"conv={conv}", f"backbone={backbone}", *small)
    if "guidance" in config.conv:
        with open_dict(config):
            config.conv.guidance.sge = {"bottleneck": 16, "mid": 16}
    return config


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("conv", CONVS)
def test_a_training_step_and_an_evaluation(conv, backbone):
    config = tiny(conv, backbone)
    model = build_model(config).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    images, labels = torch.randn(2, 1, 32, 32), torch.randint(0, 4, (2, 32, 32))
    loss = build_loss(config)(model(images), labels)
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    after = dict(model.named_parameters())
    assert any(not torch.equal(before[name], after[name]) for name in before)
    logits = model.eval()(images)
    assert logits.shape == (2, 4, 32, 32)
    if conv != "dcd":  # its Phi(x) q squares the scale of x: over 16 layers it overflows until batch norm has warmed up
        assert logits.isfinite().all()
    torch.testing.assert_close(model(images), logits, equal_nan=True)


@pytest.mark.parametrize(
    ("conv", "backbone"),
    [*((conv, "unet") for conv in CONVS), *((conv, each) for each in BACKBONES for conv in ("regular", "sgdc"))],
)
def test_nothing_is_left_on_the_cpu(conv, backbone, monkeypatch):
    # fake tensors have a device but no values: what would meet a tensor of another device raises, without a GPU;
    # Triton alone needs a real one
    monkeypatch.setattr(spatially_varying_filter, "fused_filter_works", lambda device: False)
    config = tiny(conv, backbone)
    with torch.device("meta"):
        model = build_model(config, pretrained=False)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        model.to_empty(device="cuda")
        mode.allow_non_fake_inputs = False
        images = torch.empty(2, 1, 32, 32, device="cuda")
        outputs = model.train()(images)
        if isinstance(outputs, tuple):
            logits, edge = outputs
            outputs = logits[0] if edge is None else edge
        assert outputs.device.type == "cuda"
        assert model.eval()(images).device.type == "cuda"
