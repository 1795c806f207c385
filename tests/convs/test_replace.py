"""Any network with dynamic convolutions in the place of its static ones."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import timm
import torch
import torchvision
from monai.networks.nets import BasicUNet, SegResNet
from timm.layers import StdConv2d
from torch import nn

from magicseg.convs import DCDConv2d, MAGICConv2d, create_conv, list_convs, load_static_, replace_convs
from magicseg.errors import UserError

NAMES = list_convs()
CAN_START_STATIC = [name for name in NAMES if name != "involution"]

# network -> how many 3x3 convolutions it has after its first convolution, counted by hand
NETWORKS = {
    "resnet18": (partial(timm.create_model, "resnet18", zero_init_last=False), 8 * 2),
    "res2net50d": (
        partial(timm.create_model, "res2net50d", zero_init_last=False),
        2 + 16 * 3,
    ),  # a stem of three, 16 blocks of three
    "deeplabv3": (
        partial(torchvision.models.segmentation.deeplabv3_resnet50, weights=None, weights_backbone=None),
        16 + 3 + 1,
    ),
    "basicunet": (partial(BasicUNet, 2, 3, 2, (16,) * 6), 9 * 2 - 1),
    "segresnet": (partial(SegResNet, 2, 16, 3, 2), (1 + 2 + 2 + 4 + 3) * 2 + 3),  # blocks of two, three strided
}


def network(name, seed=0):
    torch.manual_seed(seed)
    return NETWORKS[name][0]()


def images(B=2, side=64, dtype=torch.float32):
    return torch.randn(B, 3, side, side, generator=torch.Generator().manual_seed(5), dtype=dtype)


def output(model, x):
    y = model(x)
    return y["out"] if isinstance(y, dict) else y


def small_network():
    """A first convolution, one of each kind that the scopes tell apart, and a subclass."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.Sequential(nn.Conv2d(16, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Conv2d(16, 16, 1),
        nn.Conv2d(16, 16, 5, padding="same"),
        StdConv2d(16, 16, 3, padding=1),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks_learn_and_are_stored(name):
    model = network(name)
    replaced = replace_convs(model, "magic_2x", ratio=4)
    assert len(replaced) == len(set(replaced)) == NETWORKS[name][1]
    assert all(isinstance(model.get_submodule(layer), MAGICConv2d) for layer in replaced)
    x, twin = images(), copy.deepcopy(model)
    output(model, x).square().mean().backward()
    for layer in replaced:
        assert model.get_submodule(layer).kernels.grad.any()

    other = network(name, seed=1)
    assert replace_convs(other, "magic_2x", ratio=4) == replaced
    other.load_state_dict(twin.state_dict())
    assert torch.equal(output(other.eval(), x), output(twin.eval(), x))


def test_a_network_of_segmentation_models_pytorch():
    smp = pytest.importorskip("segmentation_models_pytorch")
    model = smp.Unet("resnet18", encoder_weights=None)
    assert len(replace_convs(model, "magic_2x")) == 16 + 5 * 2 + 1
    assert model(images()).shape == (2, 1, 64, 64)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_static_start_gives_the_networks_own_output(name):
    model, x = network(name).double().eval(), images(dtype=torch.float64)
    with torch.no_grad():
        expected = output(model, x)
        replace_convs(model, "magic_2x", init="static", ratio=64)
        got = output(model, x)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10 * (1 + expected.abs().max().item()))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CAN_START_STATIC)
def test_every_able_operator_starts_static_in_training_too(name, training):
    model, x = network("segresnet").double(), images(B=3, side=16, dtype=torch.float64)
    with torch.no_grad():
        expected = model.train(training)(x)
        fresh = copy.deepcopy(model)
        replace_convs(fresh, name)
        replaced = replace_convs(model, name, init="static")
        got = model(x)
    assert len(replaced) == NETWORKS["segresnet"][1]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)
    assert (fresh(x) - expected).abs().max() > 1e-3


OPTIONS = [
    ("magic_1x", {"form": "released"}),
    ("magic_4x", {"form": "released"}),
    ("magic_4x", {"recalculation": False}),
    ("condconv", {"num_kernels": 1}),
    ("condconv", {"num_kernels": 5}),
    ("ddconv", {"modulation": True, "experts": 3}),
    ("odconv", {"num_kernels": 1}),
    ("odconv", {"temperature": 30.0}),
    ("weightnet", {"M": 6, "G": 2}),
    ("dcd", {"variant": "general"}),
]


@pytest.mark.parametrize("geometry", [{}, {"groups": 2, "bias": False}, {"groups": 16}, {"kernel_size": 1}], ids=str)
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_options_and_geometry_do_not_spoil_a_static_start(name, options, geometry):
    if name == "dcd" and geometry.get("groups", 1) > 1:
        pytest.skip("DCD has no groups")
    geometry = {"kernel_size": 3, **geometry}
    geometry["padding"] = geometry["kernel_size"] // 2
    torch.manual_seed(3)
    conv = nn.Conv2d(16, 16, stride=2, dtype=torch.float64, **geometry)
    operator = create_conv(name, 16, 16, stride=2, **geometry, **options).double()
    for parameter in operator.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter)  # as after training: what must be zero is made so
    load_static_(operator, conv.weight, conv.bias)
    x = torch.randn(3, 16, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(operator(x), conv(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["magic_4x", "dyconv", "condconv", "odconv", "ddconv"])
def test_equal_kernels_part_in_training(name):
    model = nn.Sequential(nn.Identity(), nn.Conv2d(32, 32, 3, padding=1).double())
    torch.manual_seed(4)
    replace_convs(model, name, scope="all", init="static")
    kernels = model[1].kernels
    assert torch.equal(kernels, kernels[:1].expand_as(kernels))
    model(torch.randn(4, 32, 9, 9, dtype=torch.float64)).square().sum().backward()
    gradients = kernels.grad.flatten(1)
    assert torch.pdist(gradients).min() > 1e-6 * gradients.norm()


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("3x3", ["1.0"]),
        ("3x3_all", ["0", "1.0"]),
        ("all", ["0", "1.0", "2", "3"]),
        (lambda name, layer: isinstance(layer, StdConv2d), ["4"]),
        (lambda name, layer: name.startswith("1"), ["1.0"]),
    ],
)
def test_scopes(scope, expected):
    model = small_network()
    assert replace_convs(model, "magic_2x", scope=scope) == expected
    assert [name for name, layer in model.named_modules() if isinstance(layer, MAGICConv2d)] == expected
    assert model(images(side=9)).shape == (2, 16, 5, 5)


def test_the_layers_arguments_are_kept():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(8, 12, (3, 5), (2, 1), (1, 4), (1, 2), groups=4, bias=False),
        nn.Conv2d(12, 6, 2, padding="same"),
    ).to(torch.float64)
    before = [(x.stride, x.padding, x.dilation, x.groups, x.kernel_size) for x in model]
    model.eval()
    replace_convs(model, "dyconv", scope="all")
    assert [(x.stride, x.padding, x.dilation, x.groups, x.kernel_size) for x in model] == before
    assert [layer.kernel_bias is not None for layer in model] == [True, False, True]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    assert not any(module.training for module in model.modules())


def test_the_device_is_kept():
    model = small_network().to("meta")
    replace_convs(model, "magic_4x", scope="all", init="static")
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


def test_a_shared_layer_stays_one_layer():
    shared = nn.Conv2d(16, 16, 3, padding=1)
    model = nn.ModuleDict({"first": nn.Conv2d(3, 16, 1), "left": nn.Sequential(shared), "right": shared})
    assert replace_convs(model, "magic_2x") == ["left.0"]
    assert isinstance(model["right"], MAGICConv2d)
    assert model["right"] is model["left"][0]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"regular"}))
def test_what_is_dynamic_already_is_left_alone(name):
    model = small_network()[:3]
    replace_convs(model, name, scope=lambda name, layer: name != "0")
    before = list(model[1:].modules())
    assert replace_convs(model, "dyconv", scope="all") == ["0"]
    assert list(model[1:].modules())[1:] == before[1:]  # model[1:] itself is made anew


def test_an_operator_of_ones_own():
    class Halved(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) / 2

    model = nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 3))
    expected = model(images()) / 2
    assert replace_convs(model, partial(Halved), scope="3x3_all", init="static") == ["1"]
    torch.testing.assert_close(model(images()), expected)


def test_a_refusal_names_the_layer_and_changes_nothing():
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=2))
    before = list(model)
    with pytest.raises(ValueError, match=r"Layer '2', Conv2d\(16, 16.*DCD with kernel_size=\(3, 3\) needs padding"):
        replace_convs(model, "dcd")
    assert list(model) == before


def test_other_padding_modes_are_refused():
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ValueError, match=r"Layer '0'.*pad with zeros only, not padding_mode='reflect'"):
        replace_convs(model, "magic_2x", scope="all")


def test_involution_cannot_start_static():
    with pytest.raises(ValueError, match=r"Layer '1\.0'.*Involution2d cannot start as .* that can: CondConv2d, Conv2d"):
        replace_convs(small_network(), "involution", init="static")


def test_a_subclass_cannot_start_static():
    with pytest.raises(ValueError, match=r"Layer '4', StdConv2d.*needs nn\.Conv2d itself"):
        replace_convs(small_network(), "magic_2x", scope=lambda name, layer: name == "4", init="static")


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_layer_whose_weight_a_hook_computes_cannot_start_static():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.utils.weight_norm(nn.Conv2d(8, 8, 3, padding=1)))
    with pytest.raises(ValueError, match=r"Layer '1', .*init='static' needs a layer without hooks"):
        replace_convs(model, "condconv", init="static")
    assert replace_convs(model, "condconv") == ["1"]


def test_nothing_to_replace():
    standardised = nn.Sequential(nn.Conv2d(3, 16, 3), StdConv2d(16, 16, 3), StdConv2d(16, 16, 3))
    with pytest.raises(ValueError, match=r"Sequential: looked for 3x3 .* first; it holds 1 Conv2d, 2 StdConv2d"):
        replace_convs(standardised, "magic_2x")
    with pytest.raises(ValueError, match=r"the given predicate accepts; it holds 1 Conv2d"):
        replace_convs(standardised, "magic_2x", scope=lambda name, layer: False)
    with pytest.raises(ValueError, match=r"Linear: .* no nn\.Conv2d"):
        replace_convs(nn.Linear(3, 4), "magic_2x", scope="all")
    with pytest.raises(ValueError, match=r"no nn\.Conv2d, operators already dynamic not counted"):
        replace_convs(nn.Sequential(DCDConv2d(16, 16, 3, padding=1)), "magic_2x", scope="all")


def test_unknown_words_are_answered_with_what_is_allowed():
    with pytest.raises(UserError, match="Did you mean magic_4x"):
        replace_convs(small_network(), "magic4x")
    with pytest.raises(ValueError, match=r"Unknown scope '3x3_al'. Did you mean 3x3_all.*predicate"):
        replace_convs(small_network(), "magic_4x", scope="3x3_al")
    with pytest.raises(ValueError, match="init must be 'fresh' or 'static', not 'zero'"):
        replace_convs(small_network(), "magic_4x", init="zero")
    with pytest.raises(TypeError, match="heads"):
        replace_convs(small_network(), "magic_4x", heads=4)
