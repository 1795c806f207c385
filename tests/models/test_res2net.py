import pytest
import torch
from boundary_networks import EveryOutput
from command_line import configuration
from hydra.utils import instantiate
from marked import Marked, marked
from network_probe import check_probe
from torch import nn

from magicseg.convs.create import CONVS
from magicseg.guidance import GuidedPyramid
from magicseg.models.dual_attention import ChannelAttention, PositionAttention
from magicseg.models.lightweight_vit import PatchAttention
from magicseg.models.model import Outputs, count_parameters
from magicseg.models.res2net import Res2Net
from magicseg.reports.complexity import measure

TINY = {"width": 8, "layers": (1, 1, 1, 1), "decoder_width": 8, "patch_sizes": (8, 4, 2, 1)}
SMALL_SGE = {"bottleneck": 8, "mid": 8}
SGDC_WIDTHS = (256, 512, 1024)
PARTS = {"network": 23_669_352, "transformer": 1_969_152, "head": 31_461_586, "reduces": 246_528}


def sgd_net(mode="sgdc", form="released", **options):
    model = Res2Net(3, 1)
    model.guidance = GuidedPyramid(model.channels, mode, form=form, **options)
    return model


def tiny_sgd_net(**options):
    torch.manual_seed(0)
    model = Res2Net(3, 2, **{**TINY, **options})
    model.guidance = GuidedPyramid(model.channels, sge=SMALL_SGE)
    return model


def test_parameters_by_part():
    with torch.device("meta"):
        model = sgd_net()
    parts = {**dict(model.encoder.named_children()), **dict(model.decoder.named_children())}
    own = {**PARTS, "refinements": 3 * 185_605, "predictors": 3 * 65}
    assert {name: count_parameters(part) for name, part in parts.items()} == own
    assert count_parameters(model.guidance.sge) == 1_916_160
    assert [count_parameters(block) for block in model.guidance.blocks] == [715_972, 2_742_468, 10_727_620]
    assert count_parameters(model) == 74_005_848


@pytest.mark.parametrize(
    ("conv", "parameters"),
    [
        ("regular", 57_903_628),  # SGDC Table 4, row 1
        ("sge_add", 59_850_252),
        ("contmix", 78_461_952),
        ("sgdc", 74_002_264),  # the paper form has no layer scales: 2 x (256 + 512 + 1024) fewer
        ("sgdc_self_guidance", 74_002_264 - sum(17 * C for C in SGDC_WIDTHS)),
        ("sgdc_without_local", 74_002_264 - sum(C * C + C + 10 * C for C in SGDC_WIDTHS)),
        ("sgdc_without_dynamic", 74_002_264 - sum(C * C + C + 4 * 49 * (C + 1) for C in SGDC_WIDTHS)),
    ],
)
def test_the_configurations_of_tables_4_and_5(conv, parameters):
    config = configuration("backbone=res2net", f"conv={conv}", "backbone.network.pretrained=false")
    with torch.device("meta"):
        model = instantiate(config.backbone.network, in_channels=3, num_classes=1)
        if "guidance" in config.conv:
            model.guidance = instantiate(config.conv.guidance)(model.channels)
    assert count_parameters(model) == parameters
    assert config.backbone.supervision == [1, 1, 1]


def test_probe_of_the_encoder():
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = Res2Net(3, 1).encoder.network

        def forward(self, x):
            return tuple(self.network(x))

    check_probe("res2net50_v1b_26w_4s_features", Features())


def test_probe_of_sgd_net():
    check_probe("sgdnet_reconstruction_cls1", EveryOutput(sgd_net()))


@pytest.mark.parametrize(
    ("build", "macs", "published"),
    [
        (sgd_net, 31_267_962_880, 36.234e9),
        (lambda: sgd_net("add"), 22_748_807_168, 27.77e9),
        (lambda: Res2Net(3, 1), 17_278_124_032, 17.38e9),
    ],
)
def test_multiply_adds_are_the_published_ones_less_the_dense_sobels(build, macs, published):
    """The published SGE convolves with dense 256 x 256 Sobel kernels, twice, at 64 x 64 and at 8 x 8."""
    cost = measure(build, 3, 256)
    sobels = 2 * 9 * 256 * 256 * (64 * 64 + 8 * 8) if cost.parameters != 57_903_628 else 0
    assert cost.macs == macs
    assert macs + sobels == pytest.approx(published, rel=0.01)


def test_default_scope_is_the_48_3x3_of_the_blocks():
    with torch.device("meta"):
        replaced = marked(Res2Net(3, 1, conv=Marked))
    assert len(replaced) == 48
    assert all(name.startswith("encoder.network.layer") and ".convs." in name for name in replaced)
    assert {module.in_channels for module in replaced.values()} == {26, 52, 104, 208}
    assert all(module.bias is None and module.kernel_size == (3, 3) for module in replaced.values())
    strided = [name for name, module in replaced.items() if module.stride == (2, 2)]
    assert strided == [f"encoder.network.layer{stage}.0.convs.{i}" for stage in (2, 3, 4) for i in range(3)]


def test_encoder_all_adds_the_1x1_of_the_blocks_and_shortcuts():
    with torch.device("meta"):
        replaced = marked(Res2Net(3, 1, conv=Marked, scope="encoder_all"))
    assert len(replaced) == 48 + 2 * 16 + 4


@pytest.mark.parametrize("scope", ["encoder_3x3", "encoder_all"])
def test_a_dynamic_convolution_fits(scope):
    torch.manual_seed(0)
    model = Res2Net(1, 3, conv=CONVS["magic_2x"], scope=scope, **TINY)
    assert model.eval()(torch.randn(2, 1, 64, 32)).shape == (2, 3, 64, 32)


def test_a_static_convolution_keeps_res2nets_initial_weights():
    torch.manual_seed(0)
    block = Res2Net(3, 1, layers=(1, 1, 1, 1)).encoder.network.layer4[0]
    assert block.convs[0].weight.std().item() == pytest.approx((2 / (9 * 208)) ** 0.5, rel=0.01)
    assert torch.equal(block.bn3.weight, torch.ones(2048))


def test_training_gives_three_logits_and_the_edge_map_evaluation_the_first():
    model, x = tiny_sgd_net(), torch.randn(2, 3, 64, 32)
    output = model.train()(x)
    assert isinstance(output, Outputs)
    assert [logits.shape for logits in output.logits] == [(2, 2, 64, 32)] * 3
    assert output.edge.shape == (2, 1, 16, 8)
    model.eval()
    features = model.encoder(x)
    refined, _ = model.guidance(features[:4])
    torch.testing.assert_close(model(x), model.decoder([*refined, features[4]])[0])


def test_every_parameter_gets_a_gradient():
    model = tiny_sgd_net(patch_sizes=(4, 2, 2, 1))
    nn.init.ones_(model.decoder.head.positions[3].alpha)  # at its start, 0, it hides what it scales
    logits, edge = model(torch.randn(2, 3, 96, 64))
    sum(t.square().sum() for t in (*logits, edge)).backward()
    dead = {name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert not dead - {"decoder.head.positions.3.key.bias"}  # softmax does not see what is equal for all keys


def test_guidance_refines_x1_to_x3_and_the_transformer_sees_x1_before():
    torch.manual_seed(0)
    model, seen = Res2Net(3, 2, **TINY).eval(), {}

    class Zero(nn.Module):
        def forward(self, features):
            seen["guided"] = features
            return [*(0 * x for x in features[:-1]), features[-1]], None

    model.guidance = Zero()
    model.decoder.register_forward_pre_hook(lambda _, args: seen.update(decoded=args[0]))
    model(torch.randn(1, 3, 32, 32))
    assert [x.shape[1] for x in seen["guided"]] == model.channels
    assert [bool(x.any()) for x in seen["decoded"]] == [False, False, False, True, True]
    torch.testing.assert_close(seen["decoded"][4], model.encoder.transformer(seen["guided"][0]))


def test_one_channel_is_repeated_to_three():
    torch.manual_seed(0)
    grey, colour = Res2Net(1, 2, **TINY).eval(), Res2Net(3, 2, **TINY).eval()
    colour.load_state_dict(grey.state_dict())
    x = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(grey(x), colour(x.repeat(1, 3, 1, 1)))


def test_pretrained_weights_of_a_file_go_to_what_stays_static(tmp_path):
    torch.manual_seed(0)
    source = Res2Net(3, 1, **TINY).encoder.network
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    pretrained = {**TINY, "pretrained": str(tmp_path / "weights.pth")}
    loaded = Res2Net(1, 1, **pretrained).encoder.network
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in loaded.state_dict().items())
    loaded = Res2Net(3, 1, conv=Marked, **pretrained).encoder.network
    assert torch.equal(loaded.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
    assert not torch.equal(loaded.layer1[0].convs[0].weight, source.layer1[0].convs[0].weight)


def test_patch_attention_against_loops():
    torch.manual_seed(0)
    module, x = PatchAttention(4, (4, 2)).double().eval(), torch.randn(2, 4, 8, 12).double()
    query, key, value = module.query(x), module.key(x), module.value(x)
    mixed = torch.zeros_like(x)
    for share, p in enumerate((4, 2)):
        corners = [(row, column) for row in range(0, 8, p) for column in range(0, 12, p)]
        for b in range(2):
            q, k, v = (
                torch.stack([t[b, 2 * share : 2 * share + 2, i : i + p, j : j + p] for i, j in corners])
                for t in (query, key, value)
            )
            affinity = torch.tensordot(q.flatten(1), k.flatten(1), ([1], [1])) / (2 * p * p) ** 0.5
            for (i, j), weights in zip(corners, affinity.softmax(1), strict=True):
                mixed[b, 2 * share : 2 * share + 2, i : i + p, j : j + p] = torch.tensordot(weights, v, 1)
    torch.testing.assert_close(module(x), module.out(mixed))


def test_position_and_channel_attention_against_loops():
    torch.manual_seed(0)
    x = torch.randn(1, 8, 2, 3).double()
    positions, channels = PositionAttention(8).double(), ChannelAttention().double()
    assert torch.equal(positions(x), x)
    assert torch.equal(channels(x), x)
    nn.init.constant_(positions.alpha, 0.5)
    nn.init.constant_(channels.beta, 0.5)
    q, k, v = (layer(x)[0].flatten(1) for layer in (positions.query, positions.key, positions.value))
    mixed = [sum(w * v[:, m] for m, w in enumerate((q[:, n] @ k).softmax(0))) for n in range(6)]
    torch.testing.assert_close(positions(x)[0].flatten(1), x[0].flatten(1) + 0.5 * torch.stack(mixed, 1))
    flat = x[0].flatten(1)
    energy = flat @ flat.T
    mixed = (energy.max(1, keepdim=True).values - energy).softmax(1) @ flat
    torch.testing.assert_close(channels(x)[0].flatten(1), flat + 0.5 * mixed)


@pytest.mark.parametrize(
    ("patch_sizes", "stride", "text"),
    [
        ((32, 16, 8, 4), 128, "192x300 is not a multiple of 128; the nearest legal size is 256x256"),
        ((8, 4, 2, 1), 32, "192x300 is not a multiple of 32; the nearest legal size is 192x288"),
        ((6, 4, 2, 1), 48, "192x300 is not a multiple of 48; the nearest legal size is 192x288"),
    ],
)
def test_sizes_are_multiples_of_the_patches(patch_sizes, stride, text):
    model = Res2Net(3, 1, **{**TINY, "patch_sizes": patch_sizes}).eval()
    assert model.stride == stride
    assert model(torch.zeros(1, 3, stride, 2 * stride)).shape == (1, 1, stride, 2 * stride)
    with pytest.raises(ValueError, match=text):
        model(torch.zeros(1, 3, 192, 300))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "all"}, "Unknown scope 'all' for Res2Net; allowed: encoder_3x3, encoder_all"),
        ({"width": 9}, "width must be even and at least 2, found 9"),
        ({"layers": (3, 4, 6)}, r"layers must be four whole numbers of at least 1, found \[3, 4, 6\]"),
        ({"decoder_width": 0}, "decoder_width must be at least 1"),
        ({"patch_sizes": (8, 0)}, r"patch_sizes must be .* at least 1, not \[8, 0\]"),
        ({"patch_sizes": (8, 4, 2)}, "32 channels must be divisible by the 3 patch sizes"),
        ({"pretrained": "nowhere.pth"}, "pretrained=nowhere.pth"),
    ],
)
def test_illegal_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Res2Net(1, 2, **{**TINY, **arguments})
