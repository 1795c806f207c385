import pytest
import torch
from boundary_networks import EveryOutput
from command_line import configuration
from hydra.utils import instantiate
from network_probe import check_probe
from torch import nn
from torch.nn import functional

from magicseg.guidance import GuidedPyramid
from magicseg.losses import CrossEntropyDiceLoss, Supervision
from magicseg.models.cto import CTO, EdgeAttention, SobelGate
from magicseg.models.model import Outputs, count_parameters
from magicseg.models.res2net import Res2Net
from magicseg.reports.complexity import measure

TINY = {"width": 8, "layers": (1, 1, 1, 1), "decoder_width": 8, "patch_sizes": (8, 4, 2, 1)}
PUBLISHED = 62_216_794
UNUSED = {
    "resnet.fc": 2_049_000,
    "fft": 198_144,
    "erb_db_1 to erb_db_4": 594 + 1_106 + 2_130 + 4_178,
    "reduce5": 2_051,
    "dm4": 185_605,
    "predictor4": 130,
    "batch norms of sobel_x2 to sobel_y3": 8,
}


def test_parameters_are_the_published_ones_less_the_unused_modules():
    config = configuration("backbone=cto", "backbone.network.pretrained=false")
    with torch.device("meta"):
        model = instantiate(config.backbone.network, in_channels=3, num_classes=2)
    parts = {**dict(model.encoder.named_children()), **dict(model.decoder.named_children())}
    parts["edge attention"] = model.guidance
    assert {name: count_parameters(part) for name, part in parts.items()} == {
        "network": 25_718_352 - UNUSED["resnet.fc"],
        "transformer": 1_969_152,
        "head": 31_461_586,
        "reduces": 16_576 + 32_960 + 65_728 + 131_264,
        "refinements": 3 * 185_605,
        "predictors": 3 * 130,
        "edge attention": 1_870_017 + 8,
    }
    assert count_parameters(model) == PUBLISHED - sum(UNUSED.values()) == 59_773_848
    assert (config.backbone.supervision, config.backbone.edge_weight) == ([1, 1, 1], 3)


def test_guidance_by_sgdc_in_its_place_gives_sgd_net():
    with torch.device("meta"):
        model, sgd_net = CTO(3, 1), Res2Net(3, 1)
        model.guidance, sgd_net.guidance = GuidedPyramid(model.channels), GuidedPyramid(model.channels)
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (model, sgd_net)]
    assert shapes[0] == shapes[1]


def test_probe():
    check_probe("cto_cls2", EveryOutput(CTO(3, 2)))


def test_multiply_adds_are_close_to_those_of_sgdc_table_2():
    """22.697 G as counted there has no matrix products of the attentions (0.228 G), but batch norms and Sobels."""
    cost = measure(lambda: CTO(3, 2), 3, 256)
    assert cost.macs == 22_815_997_952
    assert cost.macs == pytest.approx(22.697e9, rel=0.01)


def test_training_supervises_three_logits_and_the_edge_map():
    torch.manual_seed(0)
    model = CTO(3, 2, **TINY).train()
    nn.init.ones_(model.decoder.head.positions[3].alpha)  # at its start, 0, it hides what it scales
    output = model(torch.randn(2, 3, 64, 96))
    assert isinstance(output, Outputs)
    assert [logits.shape for logits in output.logits] == [(2, 2, 64, 96)] * 3
    assert output.edge.shape == (2, 1, 16, 24)
    label = torch.zeros(2, 64, 96, dtype=torch.int64)
    label[:, 20:40, 10:20] = 1
    Supervision(CrossEntropyDiceLoss(), (1, 1, 1), 3.0)(output, label).backward()
    dead = {name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert not dead - {"decoder.head.positions.3.key.bias"}  # softmax does not see what is equal for all keys


def test_the_edge_map_attends_to_all_features_but_the_deepest():
    torch.manual_seed(0)
    attention = EdgeAttention([4, 8, 16]).eval()
    features = [torch.randn(1, 4, 8, 12), torch.randn(1, 8, 4, 6), torch.randn(1, 16, 2, 3)]
    refined, edge = attention(features)
    assert edge.shape == (1, 1, 8, 12)
    torch.testing.assert_close(refined[0], features[0] * edge.sigmoid())
    half = functional.interpolate(edge.sigmoid(), (4, 6), mode="bilinear", align_corners=False)
    torch.testing.assert_close(refined[1], features[1] * half)
    assert torch.equal(refined[2], features[2])


def test_sobel_gate_against_a_dense_convolution():
    torch.manual_seed(0)
    gate, x = SobelGate().double().train(), torch.rand(2, 3, 6, 7).double()
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).double()
    g = [functional.conv2d(x, k.expand(1, 3, 3, 3), padding=1) for k in (kernel, kernel.T)]
    gx, gy = (functional.batch_norm(each, None, None, training=True) for each in g)
    torch.testing.assert_close(gate(x), x * (gx**2 + gy**2).sqrt().sigmoid())


def test_flat_features_keep_the_gradient_finite():
    x = torch.full((1, 2, 6, 6), 0.5, requires_grad=True)
    SobelGate().eval()(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_illegal_sizes_name_the_nearest_legal_one():
    with pytest.raises(ValueError, match="224x224 is not a multiple of 128; the nearest legal size is 256x256"):
        CTO(3, 2, **{**TINY, "patch_sizes": (32, 16, 8, 4)})(torch.zeros(1, 3, 224, 224))
