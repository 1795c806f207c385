"""Every convolution with every backbone: builds, makes one training step, and one evaluation."""

import pytest
import torch
from command_line import PROJECT, configuration

from magicseg.training.setup import build_loss, build_model

CONVS = sorted(path.stem for path in (PROJECT / "configs" / "conv").glob("*.yaml"))
BACKBONES = sorted(
    path.stem for path in (PROJECT / "configs" / "backbone").glob("*.yaml") if not path.stem.endswith("_small")
)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("conv", CONVS)
def test_a_training_step_and_an_evaluation(conv, backbone):
    small = ["backbone.network.width=16", "recipe.size=32"]
    config = configuration(f"conv={conv}", f"backbone={backbone}", *small)
    if "guidance" in config.conv:
        config = configuration(
            f"conv={conv}", f"backbone={backbone}", *small, "+conv.guidance.sge={bottleneck: 16, mid: 16}"
        )
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
