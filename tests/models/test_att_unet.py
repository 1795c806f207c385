import pytest
import torch
from marked import Marked, marked
from network_probe import check_probe
from torch import nn

from magicseg.guidance import GuidedPyramid
from magicseg.models.att_unet import AttUNet
from magicseg.models.attention_gate import AttentionGate
from magicseg.models.model import Outputs, count_parameters


@pytest.mark.parametrize(("attention", "name"), [(True, "ljh_AttU_Net"), (False, "ljh_U_Net")])
def test_wiring_is_that_of_the_public_code(attention, name):
    check_probe(name, AttUNet(3, 1, attention=attention))


@pytest.mark.parametrize(("attention", "parameters"), [(True, 34_878_573), (False, 34_527_041)])
def test_parameters_at_full_width(attention, parameters):
    with torch.device("meta"):
        assert count_parameters(AttUNet(3, 1, attention=attention)) == parameters


def test_parameters_by_part():
    with torch.device("meta"):
        model = AttUNet(3, 1)
    parts = [*model.encoder.blocks, *model.decoder.ups, *model.decoder.gates, *model.decoder.blocks, model.decoder.head]
    assert [count_parameters(part) for part in parts] == [
        *(38_976, 221_952, 886_272, 3_542_016, 14_161_920),
        *(4_720_128, 1_180_416, 295_296, 73_920),
        *(263_939, 66_435, 16_835, 4_323),
        *(7_080_960, 1_771_008, 443_136, 110_976),
        65,
    ]


@pytest.mark.parametrize(
    ("scope", "convolutions", "weights"),
    [("encoder_3x3", 9, 18_837_504), ("encoder_3x3_no_first_block", 8, 18_800_640), ("all", 21, 34_504_704)],
)
def test_scopes(scope, convolutions, weights):
    with torch.device("meta"):
        model = AttUNet(1, 4, conv=Marked, scope=scope)
    replaced = marked(model).values()
    assert len(replaced) == convolutions
    assert sum(module.weight.numel() for module in replaced) == weights
    assert all(module.kernel_size == (3, 3) for module in replaced)
    assert type(model.encoder.blocks[0][0]) is nn.Conv2d


def test_a_gate_by_hand():
    gate = AttentionGate(1, 2, 1).eval()
    with torch.no_grad():
        for layer, weight, bias in (
            (gate.gate[0], [2.0], 1.0),
            (gate.skip[0], [1.0, -1.0], 0.0),
            (gate.psi[0], [3.0], -2.0),
        ):
            layer.weight.copy_(torch.tensor(weight).view_as(layer.weight))
            layer.bias.fill_(bias)
    g = torch.tensor([0.5, -9.0]).reshape(1, 1, 1, 2)
    x = torch.tensor([[4.0, 5.0], [1.0, 1.0]]).reshape(1, 2, 1, 2)
    # first position: 2 * 0.5 + 1 + 4 - 1 = 5, 3 * 5 - 2 = 13; second: relu(-18 + 1 + 5 - 1) = 0, so -2
    weights = torch.sigmoid(torch.tensor([13.0, -2.0]))
    for norm in (gate.gate[1], gate.skip[1], gate.psi[1]):
        norm.eps = 0.0
    torch.testing.assert_close(gate(g, x), x * weights)


def test_logits_have_the_input_size_and_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    model = AttUNet(3, 5, width=4)
    y = model(torch.randn(2, 3, 32, 48))
    assert y.shape == (2, 5, 32, 48)
    y.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters() if parameter.ndim > 1)


def test_guidance_refines_the_features():
    model = AttUNet(1, 3, width=8)
    model.guidance = GuidedPyramid(model.channels, sge={"bottleneck": 8, "mid": 8})
    outputs = model(torch.randn(2, 1, 32, 32))
    assert isinstance(outputs, Outputs)
    assert outputs.logits[0].shape == (2, 3, 32, 32)
    assert outputs.edge.shape == (2, 1, 32, 32)


def test_illegal_sizes_name_the_nearest_legal_one():
    with pytest.raises(ValueError, match="100x31 is not a multiple of 16; the nearest legal size is 96x32"):
        AttUNet(1, 2, width=4)(torch.zeros(1, 1, 100, 31))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "decoder"}, "Unknown scope 'decoder' for AttUNet; allowed: encoder_3x3, encoder_3x3_no_first_block"),
        ({"width": 0}, "even number of at least 2, found 0"),
        ({"width": 5}, "even number of at least 2, found 5"),
    ],
)
def test_illegal_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttUNet(1, 2, **arguments)
