from functools import partial

import pytest
import torch
import torchvision
from marked import Marked, marked
from torch import nn

from magicseg.convs.create import CONVS
from magicseg.models.model import count_parameters
from magicseg.models.resnet18 import LightHamburger, ResNet18


def test_parameters_of_table_5():
    with torch.device("meta"):
        model = ResNet18(3, 9)
    assert count_parameters(model) == 12_328_777
    parts = {"squeeze": 492_544, "ham_in": 262_656, "nmf": 0, "ham_out": 263_168, "align": 131_584, "head": 2_313}
    assert {name: count_parameters(part) for name, part in model.decoder.named_children()} == parts


def test_encoder_is_torchvisions_resnet18():
    torch.manual_seed(0)
    reference = torchvision.models.resnet18().double().eval()
    encoder = ResNet18(3, 2).encoder.double().eval()
    weights = {name: value for name, value in reference.state_dict().items() if not name.startswith("fc.")}
    encoder.network.load_state_dict(weights)
    x = torch.randn(1, 3, 64, 96).double()
    features = encoder(x)
    x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(x))))
    for stage, feature in zip(("layer1", "layer2", "layer3", "layer4"), features, strict=True):
        x = getattr(reference, stage)(x)
        torch.testing.assert_close(feature, x, rtol=1e-12, atol=1e-12)


def test_default_scope_is_the_sixteen_3x3_of_the_basic_blocks():
    with torch.device("meta"):
        replaced = marked(ResNet18(3, 9, conv=Marked))
    stages = [f"layer{stage}.{block}.conv{conv}" for stage in (1, 2, 3, 4) for block in (0, 1) for conv in (1, 2)]
    assert list(replaced) == [f"encoder.network.{name}" for name in stages]
    assert sum(module.weight.numel() for module in replaced.values()) == 10_985_472
    assert all(module.bias is None and module.kernel_size == (3, 3) for module in replaced.values())
    strided = [name for name, module in replaced.items() if module.stride == (2, 2)]
    assert strided == [f"encoder.network.layer{stage}.0.conv1" for stage in (2, 3, 4)]


def test_encoder_all_adds_the_shortcuts():
    with torch.device("meta"):
        replaced = marked(ResNet18(3, 9, conv=Marked, scope="encoder_all"))
    shortcuts = {name for name, module in replaced.items() if module.kernel_size == (1, 1)}
    assert shortcuts == {f"encoder.network.layer{stage}.0.downsample.0" for stage in (2, 3, 4)}
    assert len(replaced) == 19


def test_a_static_convolution_keeps_resnets_initial_weights():
    torch.manual_seed(0)
    layer = ResNet18(3, 2, conv=partial(nn.Conv2d)).encoder.network.layer4[1]
    for conv in (layer.conv1, layer.conv2):
        assert conv.weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert torch.equal(layer.bn2.weight, torch.ones(512))


@pytest.mark.parametrize("name", [name for name in CONVS if name != "involution"])
def test_every_operator_fits_everywhere(name):
    torch.manual_seed(0)
    model = ResNet18(1, 3, conv=CONVS[name], width=8, scope="encoder_all")
    assert model(torch.randn(2, 1, 64, 32)).shape == (2, 3, 64, 32)


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    model = ResNet18(3, 5, width=8)
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_evaluation_is_reproducible_and_training_is_seeded():
    torch.manual_seed(0)
    model, x = ResNet18(1, 2, width=8), torch.randn(2, 1, 64, 64)
    torch.manual_seed(1)
    first, second = model(x), model(x)
    torch.manual_seed(1)
    assert torch.equal(model(x), first)
    assert not torch.equal(first, second)
    model.eval()
    assert torch.equal(model(x), model(x))


def test_the_factorisation_is_a_residual_beside_the_squeezed_features():
    torch.manual_seed(0)
    head = LightHamburger(2, [4, 8]).eval()
    nn.init.zeros_(head.ham_out[1].weight)
    shallow, deep = torch.randn(1, 4, 6, 6), torch.full((1, 8, 3, 3), 0.5)
    squeezed = head.squeeze(torch.cat([shallow, torch.full((1, 8, 6, 6), 0.5)], dim=1))
    expected = nn.functional.interpolate(head.head(head.align(squeezed)), size=(24, 24), mode="bilinear")
    torch.testing.assert_close(head([shallow, deep]), expected)
    nn.init.ones_(head.ham_out[1].weight)
    assert not torch.allclose(head([shallow, deep]), expected)


def test_illegal_sizes_name_the_nearest_legal_one():
    with pytest.raises(ValueError, match="100x31 is not a multiple of 32; the nearest legal size is 96x32"):
        ResNet18(1, 2, width=8)(torch.zeros(1, 1, 100, 31))


@pytest.mark.parametrize(
    ("arguments", "message"), [({"scope": "all"}, "Unknown scope 'all' for ResNet18"), ({"width": 0}, "at least 1")]
)
def test_illegal_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet18(1, 2, **arguments)
