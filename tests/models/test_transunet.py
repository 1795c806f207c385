from functools import partial

import pytest
import torch
from marked import Marked, marked
from network_probe import check_probe
from torch import nn

from magicseg.convs import MAGICConv2d
from magicseg.convs.create import CONVS
from magicseg.guidance import GuidedPyramid
from magicseg.models.model import Outputs, count_parameters
from magicseg.models.transunet import TransUNet
from magicseg.models.weight_standardisation import StdConv2d, StdKernelBankConv2d
from magicseg.reports.complexity import measure

SMALL = {"width": 8, "units": (2, 1, 1), "hidden": 16, "layers": 2, "heads": 2, "mlp": 24, "image_size": 32}


def small(in_channels=1, num_classes=3, **arguments):
    torch.manual_seed(0)
    return TransUNet(in_channels, num_classes, **SMALL | arguments)


def replaced(**arguments):
    with torch.device("meta"):
        return marked(TransUNet(3, 9, conv=Marked, **arguments))


def test_wiring_is_that_of_the_public_code():
    # The filled weights make this deep network amplify rounding: an input changed by 1e-13 moves the output by 0.005
    # of about 190. Wrong wiring is off by tens, a wrong eps of any norm by 0.06 or more.
    check_probe("transunet_R50-ViT-B_16_64_cls9", TransUNet(3, 9, image_size=64), atol=0.02)


@pytest.mark.parametrize(
    ("image_size", "classes", "parameters"),
    [(224, 9, 105_277_081), (256, 9, 105_323_161), (256, 1, 105_322_001), (64, 9, 105_138_841)],
)
def test_parameters(image_size, classes, parameters):
    with torch.device("meta"):
        assert count_parameters(TransUNet(1, classes, image_size=image_size)) == parameters


def test_parameters_by_part():
    with torch.device("meta"):
        model = TransUNet(3, 9)
    resnet, transformer, decoder = model.encoder.resnet, model.encoder.transformer, model.decoder
    assert [count_parameters(part) for part in (resnet.root, *resnet.stages)] == [9_536, 215_808, 1_219_584, 10_449_920]
    assert count_parameters(transformer.embedding) == 787_200
    assert transformer.positions.numel() == 150_528
    assert count_parameters(transformer.layers[0]) == 7_087_872
    assert count_parameters(transformer.layers) + count_parameters(transformer.norm) == 85_056_000
    assert count_parameters(decoder.bottom) == 3_539_968
    assert [count_parameters(block) for block in decoder.blocks] == [2_950_144, 737_792, 147_712, 11_584]
    assert count_parameters(decoder.head) == 1_305


def test_multiply_adds():
    macs = measure(lambda: TransUNet(3, 9, image_size=256), 3, 256).macs
    attention = 12 * 2 * 256**2 * 768
    assert macs == 37_251_956_736 + attention  # MAGIC Table 6 prints 38.52 G, with the norms and resizing counted


def test_default_scope_is_the_sixteen_3x3_of_the_bottlenecks():
    layers = replaced()
    assert len(layers) == 16
    assert sum(layer.weight.numel() for layer in layers.values()) == 6_008_832
    assert [layer.in_channels for layer in layers.values()] == [64] * 3 + [128] * 4 + [256] * 9
    assert all(layer.kernel_size == (3, 3) and layer.bias is None for layer in layers.values())
    strided = [name for name, layer in layers.items() if layer.stride == (2, 2)]
    assert strided == [f"encoder.resnet.stages.{stage}.0.residual.3" for stage in (1, 2)]


def test_encoder_all_is_all_but_the_first():
    layers = replaced(scope="encoder_all")
    assert len(layers) == 51
    assert "encoder.resnet.root.0" not in layers


def test_regular_convolutions_are_standardised():
    model = small()
    convs = [module for module in model.encoder.resnet.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) == 1 + 3 * 4 + 3
    assert all(type(module) is StdConv2d for module in convs)


@pytest.mark.parametrize(
    ("kernels", "options", "millions"),
    [
        (1, {"form": "released"}, 0.762),
        (2, {"form": "released"}, 6.771),
        (4, {"form": "released"}, 18.790),
        (1, {"form": "paper"}, 2.766),
    ],
)
def test_parameters_that_magic_adds(kernels, options, millions):
    def total(model):
        return sum(parameter.numel() for parameter in model.parameters())

    with torch.device("meta"):
        extra = total(TransUNet(3, 9, partial(MAGICConv2d, num_kernels=kernels, **options))) - total(TransUNet(3, 9))
    assert extra / 1e6 == pytest.approx(millions, abs=6e-4)


@pytest.mark.parametrize("name", [name for name in CONVS if name != "involution"])
def test_every_operator_fits_everywhere(name):
    model = small(conv=CONVS[name], scope="encoder_all")
    assert model(torch.randn(2, 1, 32, 32)).shape == (2, 3, 32, 32)


def test_weight_std_standardises_the_dynamic_convolutions():
    conv = partial(MAGICConv2d, num_kernels=2)
    plain, standardised = small(conv=conv), small(conv=conv, weight_std=True)
    assert not any(isinstance(module, StdKernelBankConv2d) for module in plain.modules())
    assert sum(isinstance(module, StdKernelBankConv2d) for module in standardised.modules()) == 4
    assert count_parameters(plain) == count_parameters(standardised)
    x = torch.randn(2, 1, 32, 32)
    assert not torch.allclose(plain.eval()(x), standardised.eval()(x))
    with pytest.raises(ValueError, match="weight_std=True cannot standardise the kernel of ODConv2d"):
        small(conv=CONVS["odconv"], weight_std=True)


@pytest.mark.parametrize("size", [(16, 32), (32, 48), (80, 16), (64, 64)])
def test_any_multiple_of_16(size):
    model = small().eval()
    assert model(torch.randn(1, 1, *size)).shape == (1, 3, *size)


def test_a_size_that_is_not_square_has_its_own_embeddings():
    assert small(image_size=(32, 48)).encoder.transformer.positions.shape == (1, 6, 16)


def test_the_smaller_map_is_padded_in_the_copy_only():
    model = small().eval()
    sizes = []
    model.encoder.resnet.stages[1].register_forward_hook(lambda _, inputs, __: sizes.append(tuple(inputs[0].shape[2:])))
    features = model.encoder(torch.randn(1, 1, 64, 48))
    assert [tuple(feature.shape[1:]) for feature in features] == [(8, 32, 24), (32, 16, 12), (64, 8, 6), (16, 4, 3)]
    assert sizes == [(15, 11)]
    assert not features[1][:, :, -1].any()
    assert not features[1][..., -1].any()
    assert features[1][:, :, :-1, :-1].amax(dim=(0, 1)).min() > 0


def test_one_channel_is_repeated_to_three():
    one, three = small(in_channels=1).eval(), small(in_channels=3).eval()
    three.load_state_dict(one.state_dict())
    x = torch.randn(1, 1, 32, 32)
    assert torch.equal(one(x), three(x.repeat(1, 3, 1, 1)))
    assert small(in_channels=4)(torch.randn(2, 4, 32, 32)).shape == (2, 3, 32, 32)


def test_every_weight_gets_a_gradient():
    model = small()
    model(torch.randn(2, 1, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters() if parameter.ndim > 1)


def test_guidance_refines_the_skip_features():
    model = small()
    model.guidance = GuidedPyramid(model.channels, sge={"bottleneck": 8, "mid": 8})
    outputs = model(torch.randn(2, 1, 32, 48))
    assert isinstance(outputs, Outputs)
    assert outputs.logits[0].shape == (2, 3, 32, 48)
    assert outputs.edge.shape == (2, 1, 16, 24)


def test_illegal_sizes_name_the_nearest_legal_one():
    with pytest.raises(ValueError, match="100x31 is not a multiple of 16; the nearest legal size is 96x32"):
        small()(torch.zeros(1, 1, 100, 31))
    with pytest.raises(ValueError, match="image_size 100x100 is not a multiple of 16; the nearest legal size is 96x96"):
        small(image_size=100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "all"}, "Unknown scope 'all' for TransUNet; allowed: encoder_3x3, encoder_all"),
        ({"width": 6}, "width must be a multiple of 4, found 6; the nearest is 8"),
        ({"units": (2, 2)}, r"units must be three numbers of at least 1, found \[2, 2\]"),
        ({"heads": 3}, "heads=3 does not divide the 16 dimensions"),
    ],
)
def test_illegal_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
