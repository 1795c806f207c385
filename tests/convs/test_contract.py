"""What every operator promises: wherever `nn.Conv2d` stands, it can stand too."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest
import torch
from torch import nn

from magicseg.convs import create_conv, list_convs
from magicseg.convs.create import CONVS

NAMES = list_convs()

GEOMETRIES = [
    {"kernel_size": side, "stride": stride, "padding": dilation * (side // 2), "dilation": dilation, "groups": groups,
     "bias": bias}
    for side, stride, dilation, groups, bias in itertools.product((1, 3, 5, 7), (1, 2), (1, 2), (1, 2), (True, False))
]  # fmt: skip

# operator -> whether it refuses a geometry (with a ValueError, when it is built)
REFUSES = {
    "dcd": lambda g: g["groups"] > 1 or g["dilation"] > 1,
    "involution": lambda g: (
        g["groups"] > 1 or g["dilation"] > 1 or g["in_channels"] != g["out_channels"] or g["in_channels"] % 16
    ),
    "weightnet": lambda g: (
        g["in_channels"] // g["groups"] * g["kernel_size"] ** 2 % 2
        and not g["in_channels"] == g["out_channels"] == g["groups"]
    ),
}

# operator -> parameters whose gradient is zero at the start, and why
WITHOUT_GRADIENT = {
    "magic": {"mask.bias"},  # a softmax ignores a constant
    "ddconv": {"offset_routing.weight", "offset_routing.bias"},  # the offset kernels that it mixes are zero
}


def operator(name):
    """The operator of a name such as magic_4x."""
    return name.split("_")[0]


def label(geometry):
    return "k{kernel_size}s{stride}d{dilation}g{groups}b{bias:d}".format(**geometry)


def build(name, in_channels=16, out_channels=16, kernel_size=3, padding=1, **options):
    torch.manual_seed(1)
    return create_conv(name, in_channels, out_channels, kernel_size, padding=padding, **options)


def images(B=2, C=16, H=9, W=7, **options):
    torch.manual_seed(2)
    return torch.randn(B, C, H, W, **options)


def assert_same(got, expected, tolerance=1e-5):
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * (1 + expected.abs().max().item()))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=label)
@pytest.mark.parametrize("name", NAMES)
def test_shape_is_that_of_a_static_convolution(name, geometry):
    assert_stands_in(name, {"in_channels": 16, "out_channels": 16, **geometry})


@pytest.mark.parametrize("channels", [(1, 1), (3, 5), (5, 3), (7, 64)])
@pytest.mark.parametrize("name", NAMES)
def test_few_and_odd_channels(name, channels):
    assert_stands_in(name, {**GEOMETRIES[16], "in_channels": channels[0], "out_channels": channels[1]})


def assert_stands_in(name, geometry):
    """The operator gives what `nn.Conv2d` gives, or says at once that it cannot."""
    if operator(name) in REFUSES and REFUSES[operator(name)](geometry):
        with pytest.raises(ValueError, match=r"\d"):
            build(name, **geometry)
        return
    x = images(C=geometry["in_channels"])
    y = build(name, **geometry)(x)
    assert y.shape == nn.Conv2d(**geometry)(x).shape
    assert y.isfinite().all()
    y.sum().backward()


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (33, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_any_image_size(name, size):
    y = build(name)(images(H=size[0], W=size[1]))
    assert y.shape == (2, 16, *size)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_batch_of_one(name):
    conv = build(name).train()
    y = conv(images(B=1))
    y.sum().backward()
    assert y.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch(name, training):
    y = build(name, stride=2).train(training)(images(B=0))
    assert y.shape == (0, 16, 5, 4)
    y.sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_does_not_matter(name):
    conv, x = build(name).eval(), images()
    expected = conv(x)
    wider = images(W=14)
    wider[..., ::2] = x
    for other in (x.to(memory_format=torch.channels_last), x.mT.contiguous().mT, wider[..., ::2]):
        assert_same(conv(other), expected)
    assert_same(conv.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_its_batch_in_evaluation(name):
    conv, x = build(name).eval(), images(B=3)
    assert_same(conv(x), torch.cat([conv(sample) for sample in x.split(1)]))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name):
    conv = build(name, 32, 32)
    conv(images(B=4, C=32)).square().sum().backward()
    silent = {key for key, p in conv.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == WITHOUT_GRADIENT.get(operator(name), set())


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    conv, x = build(name, dtype=torch.float64).eval(), images(H=3, W=3, dtype=torch.float64, requires_grad=True)
    for parameter in conv.parameters():
        nn.init.normal_(parameter, std=0.3)  # away from the kinks of a start with zeros
    assert torch.autograd.gradcheck(conv, x)


@pytest.mark.parametrize("name", NAMES)
def test_autocast(name):
    conv, x = build(name), images(B=4, requires_grad=True)
    expected = conv(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert_same(y.float(), expected, tolerance=0.05)
    y.float().square().sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_double_precision(name):
    conv, x = build(name).eval(), images()
    assert_same(copy.deepcopy(conv).double()(x.double()).float(), conv(x))


@pytest.mark.parametrize("name", NAMES)
def test_copies_give_the_same_result(name):
    conv, x = build(name).eval(), images()
    other = build(name, bias=True)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    other.load_state_dict(conv.state_dict())
    for twin in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv)), other.eval()):
        assert torch.equal(twin(x), conv(x))


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in NAMES), ("magic_4x", {"form": "released"}), ("ddconv", {"modulation": True})],
    ids=str,
)
def test_parameters_made_without_memory_are_drawn_by_reset_parameters(name, options):
    conv = build(name, device="meta", **options).to_empty(device="cpu")
    for value in conv.state_dict().values():
        value.fill_(99)
    for module in conv.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.reset_parameters()
    twin = build(name, **options)
    for key, value in twin.state_dict().items():
        got = conv.state_dict()[key]
        assert (got.float().std(correction=0) > 0) == (value.float().std(correction=0) > 0), key  # drawn, or a constant
        assert value.abs().max() / 5 <= got.abs().max() <= 5 * value.abs().max(), key


@pytest.mark.parametrize(
    ("name", "bias", "bound"),
    [
        ("magic_4x", "kernel_bias", 1 / 24),
        ("condconv", "kernel_bias", 1 / 24),
        ("odconv", "kernel_bias", 1 / 24),
        ("ddconv", "bias", 1 / 24),
        ("weightnet", "bias", 1 / 24),
        ("dyconv", "kernel_bias", 0),
        ("dcd", "proj_out.bias", 0),
        ("involution", "bias", 0),
    ],
)
def test_the_bias_starts_as_that_of_a_static_convolution_or_at_zero(name, bias, bound):
    values = build(name, 64, 64).get_parameter(bias)
    assert -bound <= values.min() <= -0.9 * bound
    assert 0.9 * bound <= values.max() <= bound


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_are_those_of_a_static_convolution(name):
    options = {"padding": "same"} if name in ("dcd", "involution") else {}  # which know no other padding
    full = {
        key: value.shape for key, value in build(name, stride=1, dilation=1, groups=1, bias=True).state_dict().items()
    }
    for conv in (create_conv(name, 16, 16, 3, **options), CONVS[name](16, 16, 3, **options)):
        assert conv(images()).shape == nn.Conv2d(16, 16, 3, **options)(images()).shape
        assert {key: value.shape for key, value in conv.state_dict().items()} == full


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"regular"}))
def test_another_number_of_channels_is_refused(name):
    with pytest.raises(ValueError, match=r"x must be \[B, 16, H, W\], not \[2, 8, 9, 7\]"):
        build(name)(images(C=8))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_without_values(name):
    y = build(name, device="meta", stride=2)(images(device="meta", requires_grad=True))
    assert y.shape == (2, 16, 5, 4)
    y.sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_graph_takes_every_batch_size(name):
    conv, x = build(name).eval(), images(B=5)
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(conv, (images(B=2),), dynamic_shapes=({0: batch},))
        assert_same(program.module()(x), conv(x))


@pytest.mark.parametrize("name", NAMES)
def test_groups_that_do_not_divide_the_channels_are_refused(name):
    with pytest.raises(ValueError, match="groups"):
        build(name, groups=3)
