from functools import partial

import pytest
import timm
import torch
from command_line import configuration
from marked import Marked, marked
from network_probe import check_probe
from torch import nn
from torch.nn import functional

from magicseg.assembly.build import build_model
from magicseg.convs.magic import MAGICConv2d
from magicseg.guidance.pyramid import GuidedPyramid
from magicseg.models.model import count_parameters
from magicseg.models.transfuse import TransFuse
from magicseg.models.transfuse_encoder import VisionTransformer
from magicseg.training.setup import build_loss

TINY = {"width": 8, "layers": (1, 1, 1), "transformer": "deit_tiny_patch16_224", "depth": 1, "image_size": (32, 48)}


class ThreeMaps(nn.Module):
    """The published order (map_x, map_1, map_2), in evaluation."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        self.model.decoder.training = True  # the decoder alone: its layers stay in evaluation
        return tuple(reversed(self.model.decoder(self.model.encoder(x))))


def parts(model):
    encoder, decoder = model.encoder, model.decoder
    modules = [encoder.resnet, encoder.transformer, *decoder.ups, decoder.head_deep, decoder.head_transformer]
    return [count_parameters(part) for part in [*modules, decoder.head_joint, *decoder.fusions, *decoder.joint_ups]]


def test_parameters_of_transfuse_s():
    with torch.device("meta"):
        model = TransFuse(3, 1)
    class_token = 384  # which the published code keeps and never uses
    assert parts(model) == [
        8_170_304, 14_565_888 - class_token, 640_128, 119_360, 54_209, 37_633, 37_633,
        1_357_636, 318_244, 84_452, 690_179, 173_059,
    ]  # fmt: skip
    assert count_parameters(model) == 26_248_725 - class_token


def test_parameters_of_transfuse_l():
    with torch.device("meta"):
        model = TransFuse(3, 1, resnet="resnet50", transformer="deit_base_patch16_224", depth=12)
    class_token = 768
    assert parts(model) == [
        8_543_296, 85_794_816 - class_token, 6_296_064, 1_902_848, 855_809, 592_897, 592_897,
        18_797_092, 5_057_380, 1_332_836, 11_018_243, 2_756_611,
    ]  # fmt: skip
    assert count_parameters(model) == 143_540_789 - class_token


def test_the_three_maps_are_the_published_codes():
    check_probe("transfuse_S", ThreeMaps(TransFuse(3, 1)))


def test_default_scope_is_the_26_3x3_of_the_three_stages():
    with torch.device("meta"):
        model = TransFuse(3, 1, conv=Marked)
    replaced = marked(model)
    stages = [
        f"encoder.resnet.layer{stage}.{block}.conv{conv}"
        for stage, blocks in ((1, 3), (2, 4), (3, 6))
        for block in range(blocks)
        for conv in (1, 2)
    ]
    assert list(replaced) == stages
    assert sum(module.weight.numel() for module in replaced.values()) == 8_110_080
    assert all(module.kernel_size == (3, 3) and module.bias is None for module in replaced.values())


def test_encoder_all_adds_the_two_shortcuts():
    with torch.device("meta"):
        model = TransFuse(3, 1, conv=Marked, scope="encoder_all")
    replaced = marked(model).values()
    assert len(replaced) == 28
    assert sum(module.kernel_size == (1, 1) for module in replaced) == 2


@pytest.mark.parametrize(("kernels", "millions"), [(1, 1.006), (2, 9.117), (4, 25.339)])
def test_what_released_magic_adds(kernels, millions):
    conv = partial(MAGICConv2d, num_kernels=kernels, form="released")
    with torch.device("meta"):
        models = [TransFuse(3, 1, conv=c) for c in (nn.Conv2d, conv)]
    static, dynamic = (sum(parameter.numel() for parameter in model.parameters()) for model in models)
    assert (dynamic - static) / 1e6 == pytest.approx(millions, abs=6e-4)


def test_training_returns_three_logits_and_evaluation_the_first():
    torch.manual_seed(0)
    model, x = TransFuse(3, 2, **TINY), torch.randn(2, 3, 32, 48)
    outputs = model(x)
    assert [list(logits.shape) for logits in outputs.logits] == [[2, 2, 32, 48]] * 3
    assert outputs.edge is None
    prediction = model.eval()(x)
    model.decoder.training = True
    torch.testing.assert_close(prediction, model.decoder(model.encoder(x))[0])


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    model = TransFuse(1, 2, **TINY)
    outputs = model(torch.randn(4, 1, 64, 64))
    sum(logits.square().sum() for logits in outputs.logits).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_guidance_refines_the_cnn_and_hands_the_transformer_on():
    torch.manual_seed(0)
    model = TransFuse(3, 1, **TINY)
    assert model.channels == [8, 16, 32, 192]
    model.guidance = GuidedPyramid(model.channels, sge={"bottleneck": 16, "mid": 16})
    outputs = model(torch.randn(2, 3, 32, 48))
    assert outputs.edge.shape == (2, 1, 8, 12)
    assert len(outputs.logits) == 3
    assert model.eval()(torch.randn(2, 3, 32, 48)).shape == (2, 1, 32, 48)


def test_one_channel_is_repeated():
    torch.manual_seed(0)
    grey = TransFuse(1, 1, **TINY).eval()
    colour = TransFuse(3, 1, **TINY).eval()
    colour.load_state_dict(grey.state_dict())
    x = torch.randn(1, 1, 32, 48)
    torch.testing.assert_close(grey(x), colour(x.repeat(1, 3, 1, 1)))


def test_the_transformer_is_timms():
    torch.manual_seed(0)
    vit = VisionTransformer("deit_tiny_patch16_224", 2, (64, 96), False).double().eval()
    x = torch.randn(2, 3, 64, 96).double()
    tokens = vit.network.forward_features(x)
    torch.testing.assert_close(vit(x), tokens.transpose(1, 2).reshape(2, 192, 4, 6), rtol=1e-12, atol=1e-12)


def test_other_sizes_than_the_embeddings_are_taken_and_illegal_ones_named():
    torch.manual_seed(0)
    model = TransFuse(3, 1, **TINY).eval()
    assert model(torch.randn(1, 3, 80, 16)).shape == (1, 1, 80, 16)
    with pytest.raises(ValueError, match="100x31 is not a multiple of 16; the nearest legal size is 96x32"):
        model(torch.zeros(1, 3, 100, 31))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """ImageNet weights as timm has them, of a narrow ResNet and DeiT-tiny."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)
    networks = {
        "resnet": timm.create_model("resnet34", channels=(8, 16, 32, 64), layers=(1, 1, 1, 1)),
        "transformer": timm.create_model("deit_tiny_patch16_224", depth=3),
    }
    for part, network in networks.items():
        torch.save(network.state_dict(), folder / f"{part}.pth")
    return {part: str(folder / f"{part}.pth") for part in networks}


def test_pretrained_files_fill_both_parts(files):
    model = TransFuse(1, 1, **TINY, pretrained=files)
    resnet, transformer = (torch.load(files[part]) for part in ("resnet", "transformer"))
    assert all(torch.equal(value, resnet[name]) for name, value in model.encoder.resnet.state_dict().items())
    own = model.encoder.transformer.network.state_dict()
    positions = transformer["pos_embed"][:, 1:].reshape(1, 14, 14, 192).permute(0, 3, 1, 2)
    expected = functional.interpolate(positions, (2, 3), mode="bilinear", align_corners=True)
    torch.testing.assert_close(own.pop("pos_embed"), expected.permute(0, 2, 3, 1).reshape(1, 6, 192))
    assert {name.split(".")[1] for name in own if name.startswith("blocks")} == {"0"}
    assert all(torch.equal(value, transformer[name]) for name, value in own.items())


def test_pretrained_weights_stay_where_the_convolution_is_static(files):
    resnet = torch.load(files["resnet"])
    model = TransFuse(3, 1, **TINY, conv=Marked, pretrained={"resnet": files["resnet"]}).encoder.resnet
    assert torch.equal(model.conv1.weight, resnet["conv1.weight"])
    assert torch.equal(model.layer2[0].bn1.weight, resnet["layer2.0.bn1.weight"])
    assert not torch.equal(model.layer2[0].conv1.weight, resnet["layer2.0.conv1.weight"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "all"}, "Unknown scope 'all' for TransFuse; allowed: encoder_3x3, encoder_all"),
        ({"in_channels": 2}, "in_channels must be 1 or 3, found 2"),
        ({"width": 1}, "width must be at least 2"),
        ({"depth": 0}, "depth at least 1"),
        ({"layers": [1, 2]}, "layers must be three"),
        ({"transformer": "vit_small_patch32_224"}, "vit_small_patch32_224 has patches of 32x32; 16x16 is needed"),
        ({"image_size": (100, 31)}, "100x31 is not a multiple of 16; the nearest legal size is 96x32"),
        ({"pretrained": "weights.pth"}, r"must be true, false or \{resnet: PATH, transformer: PATH\}"),
        ({"pretrained": {"cnn": "weights.pth"}}, r"must be true, false or \{resnet: PATH, transformer: PATH\}"),
        ({"pretrained": {"transformer": "/nowhere.pth"}}, "/nowhere.pth: there is no such file"),
    ],
)
def test_illegal_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TransFuse(**{"in_channels": 3, "num_classes": 1, **TINY, **arguments})


def test_the_decoder_starts_as_published():
    torch.manual_seed(0)
    conv = TransFuse(3, 1, transformer="deit_tiny_patch16_224", depth=1).decoder.joint_ups[0].double_conv[0][0]
    fan_in = 9 * (256 + 128)
    assert conv.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.01)
    assert conv.bias.abs().max() <= fan_in**-0.5


def test_the_small_configuration_trains():
    config = configuration("backbone=transfuse_small", "recipe.size=32")
    model = build_model(config)
    outputs = model(torch.randn(2, 1, 32, 32))
    loss = build_loss(config)(outputs, torch.zeros(2, 32, 32, dtype=torch.int64))
    loss.backward()
    assert loss.isfinite()
    assert list(config.backbone.supervision) == [0.5, 0.3, 0.2]


def test_the_configuration_takes_a_file_for_each_part(files):
    network = "width=8", "layers=[1,1,1]", "depth=1", f"pretrained={{resnet:{files['resnet']}}}"
    config = configuration(
        "backbone=transfuse_small", "recipe.size=32", *(f"backbone.network.{each}" for each in network)
    )
    resnet = build_model(config).encoder.resnet
    assert torch.equal(resnet.conv1.weight, torch.load(files["resnet"])["conv1.weight"])
