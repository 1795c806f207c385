import pytest
import timm
import torch
from command_line import configuration
from hydra.utils import instantiate
from marked import Marked, marked
from torch import nn
from torch.nn import functional

from magicseg.guidance import GuidedPyramid
from magicseg.models.levit_unet import LeViTUNet
from magicseg.models.model import Outputs, count_parameters

SIZE_128S = {"dims": (128, 256, 384), "key_dim": 16, "heads": (4, 6, 8), "depths": (2, 3, 4)}
SMALL = {
    "dims": (32, 48, 64),
    "key_dim": 8,
    "heads": (2, 3, 4),
    "depths": (1, 1, 1),
    "decoder": (16, 12, 8),
    "image_size": 32,
}


def small(in_channels=1, num_classes=3, **arguments):
    torch.manual_seed(0)
    return LeViTUNet(in_channels, num_classes, **SMALL | arguments)


@pytest.mark.parametrize(
    ("name", "total", "convs", "stages", "decoder", "head"),
    [
        (
            "levit_unet_128s",
            15_904_715,
            [176, 4_672, 18_560, 73_984],
            [234_016, 1_734_802, 4_939_024],
            [6_490_112, 1_917_952, 479_744],
            11_673,
        ),
        (
            "levit_unet_192",
            19_904_670,
            [264, 10_464, 41_664, 166_272],
            [1_043_760, 3_228_268, 5_684_409],
            [7_227_392, 1_991_680, 498_176],
            12_321,
        ),
        (
            "levit_unet",
            52_166_029,
            [528, 41_664, 166_272, 664_320],
            [4_151_904, 10_491_412, 22_070_800],
            [11_798_528, 2_212_864, 553_472],
            14_265,
        ),
    ],
)
def test_parameters_of_the_public_code(name, total, convs, stages, decoder, head):
    network = configuration(f"backbone={name}", "recipe.size=224").backbone.network
    with torch.device("meta"):
        model = instantiate(network, in_channels=1, num_classes=9)
    assert count_parameters(model) == total
    assert [count_parameters(part) for part in model.encoder.convs] == convs
    assert [count_parameters(part) for part in model.encoder.stages] == stages
    assert [count_parameters(part) for part in model.decoder.blocks] == decoder
    assert count_parameters(model.decoder.head) == head


def test_encoder_is_timms_levit():
    torch.manual_seed(0)
    reference = timm.create_model("levit_128s").double()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm1d):  # those that start at 0 would hide what is before them
            nn.init.uniform_(module.weight, 0.5, 1.5)
    encoder = LeViTUNet(3, 2, **SIZE_128S).encoder.double()
    encoder.stages.load_state_dict(reference.stages.state_dict())
    for ours, theirs in zip(encoder.convs, (getattr(reference.stem, f"conv{n}") for n in (1, 2, 3, 4)), strict=True):
        ours[0].load_state_dict(theirs.linear.state_dict())
        ours[1].load_state_dict(theirs.bn.state_dict())
    encoder.eval()
    reference.eval()
    x = torch.randn(1, 3, 224, 224).double()
    with torch.no_grad():
        *skips, deep = encoder(x)
        stem = reference.stem(x)
        tokens, maps = stem.flatten(2).mT, [stem]
        for stage, side in zip(reference.stages, (14, 7, 4), strict=True):
            tokens = stage(tokens)
            square = tokens.mT.reshape(1, -1, side, side)
            maps.append(functional.interpolate(square, (14, 14), mode="bilinear", align_corners=True))
    torch.testing.assert_close(deep, torch.cat(maps, dim=1), rtol=1e-12, atol=1e-12)
    first = functional.hardswish(reference.stem.conv1(x))
    torch.testing.assert_close(skips[0], first, rtol=1e-12, atol=1e-12)
    assert [tuple(skip.shape[1:]) for skip in skips] == [(16, 112, 112), (32, 56, 56), (64, 28, 28)]


@pytest.mark.parametrize(("scope", "convolutions"), [("encoder_3x3", 3), ("all", 9)])
def test_scopes(scope, convolutions):
    with torch.device("meta"):
        model = LeViTUNet(1, 9, conv=Marked, scope=scope)
    layers = list(marked(model).values())
    assert len(layers) == convolutions
    assert [layer.weight.shape[:2] for layer in layers[:3]] == [(96, 48), (192, 96), (384, 192)]
    assert all(layer.kernel_size == (3, 3) and layer.bias is None for layer in layers)
    assert type(model.encoder.convs[0][0]) is nn.Conv2d


@pytest.mark.parametrize("size", [(32, 32), (48, 80), (112, 64)])
def test_the_size_that_it_is_made_for(size):
    model = small(image_size=size).eval()
    assert model(torch.randn(1, 1, *size)).shape == (1, 3, *size)


def test_every_parameter_gets_a_gradient():
    model = small(image_size=128)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):  # residual branches start at 0
            nn.init.ones_(module.weight)
    model(torch.randn(2, 1, 128, 128)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    convolutions = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert all(weight.grad.abs().sum() > 0 for weight in convolutions)


def test_guidance_refines_the_skip_features():
    model = small()
    model.guidance = GuidedPyramid(model.channels, sge={"bottleneck": 8, "mid": 8})
    outputs = model(torch.randn(2, 1, 32, 32))
    assert isinstance(outputs, Outputs)
    assert outputs.logits[0].shape == (2, 3, 32, 32)
    assert outputs.edge.shape == (2, 1, 16, 16)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"takes 32x32 only, found 32x48: .* Build it with image_size set"):
        small()(torch.zeros(1, 1, 32, 48))
    with pytest.raises(ValueError, match=r"image_size 100x224 is not a multiple of 16; .* is 96x224"):
        small(image_size=(100, 224))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "encoder_all"}, "Unknown scope 'encoder_all' for LeViTUNet; allowed: encoder_3x3, all"),
        ({"heads": (2, 3)}, r"heads must be three numbers of at least 1, found \[2, 3\]"),
        ({"dims": (36, 48, 64)}, "first of dims must be a multiple of 8, found 36"),
        ({"key_dim": 64}, "key_dim must be between 1 and 32, found 64"),
    ],
)
def test_illegal_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
