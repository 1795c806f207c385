"""The counter against closed formulas, against fvcore, and on fake tensors against real ones."""
# ruff: noqa: E741

import logging
import math

import pytest
import torch
from command_line import configuration
from torch import nn

from magicseg.assembly.build import build_model
from magicseg.convs.create import CONVS, create_conv
from magicseg.convs.magic import MAGICConv2d
from magicseg.guidance import SGDC, SGE, ContMix, GuidedPyramid
from magicseg.models.unet import UNet
from magicseg.reports.complexity import Complexity, count_macs, measure
from magicseg.reports.complexity_tables import RULES

SIDE = 6


# C input and O output channels, N input and M output positions, 3x3 kernels, no bias


def regular(C, O, N, M):
    return 9 * C * O * M


def magic(K, C, O, N, M):
    h = C // 8
    attention = 2 * C * N + 4 * C * C + C * h + h * K + 2 * K * max(1, K // 2)
    return 9 * C * O * (M + K) + attention


def dyconv(C, O, N, M, K=4):
    return 9 * C * O * (M + K) + (C // 4 + 1) * (C + K)


def condconv(C, O, N, M, K=8):
    return 9 * C * O * (M + K) + C * K


def dcd(C, O, N, M):
    L = int(math.sqrt(4 * C))
    s = max(max(4 * C, L * L) // 16, 4)
    fusion = M * (C * L + L * L + L * O)
    return 9 * C * O * M + fusion + 4 * C * s + s * s + s * L * L + s * O


def ddconv(C, O, N, M, K=8):
    offsets = 9 * C * 18 * (M + K) + C * K
    routing = C * K * N + 9 * M * (K + 4 * K)  # eight maps, sampled and averaged
    return offsets + routing + 9 * C * O * K + 9 * M * (C * O + 4 * C)


def odconv(C, O, N, M, K=4):
    h = max(C // 16, 16)
    return 9 * C * O * (M + K) + h * (C + C + O + 9 + K)


def involution(C, O, N, M):
    return M * (C * (C // 4) + C // 4 * (C // 16) * 9 + 9 * C)


def weightnet(C, O, N, M):
    return 9 * C * O * M + 16 * C + 16 * 2 * O  # each weight is then one product, no sum, and not counted


FORMULAS = {
    "regular": regular,
    "magic_1x": lambda *sizes: magic(1, *sizes),
    "magic_2x": lambda *sizes: magic(2, *sizes),
    "magic_4x": lambda *sizes: magic(4, *sizes),
    "dyconv": dyconv,
    "condconv": condconv,
    "dcd": dcd,
    "odconv": odconv,
    "ddconv": ddconv,
    "involution": involution,
    "weightnet": weightnet,
}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", CONVS)
def test_every_operator_against_its_formula(name, stride):
    C, outputs = (32, 32) if name == "involution" else (32, 48)
    conv = create_conv(name, C, outputs, 3, stride=stride, padding=1, bias=False).eval()
    with torch.no_grad():
        macs = count_macs(conv, torch.randn(1, C, SIDE, SIDE))
    assert macs == FORMULAS[name](C, outputs, SIDE**2, (SIDE // stride) ** 2)


def test_involution_has_the_taps_of_a_rectangle():
    conv = create_conv("involution", 32, 32, (3, 5), padding=(1, 2), bias=False)
    assert measure(lambda: conv, 32, SIDE).macs == SIDE**2 * (32 * 8 + 8 * 2 * 15 + 15 * 32)


# the same for guidance: C channels, N positions, guidance with g channels


def sgdc(C, N, k=7, heads=4, g=16, local=True, dynamic=True):
    head = C * (C * local + (C + heads * k * k) * dynamic)
    return N * (head + g * C + 9 * C * local + k * k * C * dynamic + 2 * C * 4 * C)


def contmix(C, N, enlarged, heads=4, k=7, s=5):
    regions, taps = 49, k * k + s * s
    query_and_value = enlarged * (C * C // 2 + C * C)
    kernels = enlarged * regions * (C // 2 + heads * taps)
    mixing = query_and_value + kernels + regions * C * C // 2 + enlarged * C // 2 * taps
    gate_fuse_and_out = 3 * C * C * N
    local = (49 + 25 + 9 + 9 + 9) * C * N + 2 * C * max(16, C // 8)
    mlp = N * (2 * C * 4 * C + 9 * 4 * C)
    return 2 * 9 * C * N + mixing + gate_fuse_and_out + local + mlp


def sge(deep, shallow, n, N, b=256, mid=256, g=16):
    hidden = b // 4
    refinement = 2 * b * hidden + 9 * hidden * hidden
    return n * (deep * b + refinement) + N * (shallow * b + refinement + 9 * 2 * b * mid + mid * (1 + g))


class Guided(nn.Module):
    """A guidance module that sees one input: the other, [1, 16, 4, 4], is drawn."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x, torch.randn(1, 16, 4, 4))


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, sgdc(32, 48)),
        ({"kernel_size": 3, "num_heads": 2}, sgdc(32, 48, k=3, heads=2)),
        ({"local": False}, sgdc(32, 48, local=False)),
        ({"dynamic": False}, sgdc(32, 48, dynamic=False)),
        ({"source": "self"}, sgdc(32, 48, g=0)),
    ],
)
def test_sgdc_against_its_formula(form, options, expected):
    assert measure(lambda: Guided(SGDC(32, form=form, **options)), 32, (8, 6)).macs == expected


@pytest.mark.parametrize(("size", "enlarged"), [((8, 9), 72), ((4, 8), 7 * 14)])
def test_contmix_against_its_formula(size, enlarged):
    """A map smaller than the kernel is enlarged before it is mixed."""
    assert measure(lambda: ContMix(32), 32, size).macs == contmix(32, size[0] * size[1], enlarged)


@pytest.mark.parametrize("form", ["paper", "released"])
def test_sge_against_its_formula(form):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.sge = SGE(40, 24, form=form)

        def forward(self, x):
            return self.sge(torch.randn(1, 40, 4, 4), x)

    assert measure(Both, 24, 16).macs == sge(40, 24, 16, 256)


@pytest.mark.parametrize("mode", ["none", "add", "contmix", "sgdc"])
def test_guided_pyramid_is_the_sum_of_its_parts(mode):
    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.pyramid = GuidedPyramid([16, 32, 48], mode)

        def forward(self, x):
            return self.pyramid([x, torch.randn(1, 32, 8, 8), torch.randn(1, 48, 4, 4)])

    blocks = {
        "none": 0,
        "add": 16 * (16 * 256 + 32 * 64),
        "contmix": 16 * (16 * 256 + 32 * 64) + contmix(16, 256, 256) + contmix(32, 64, 64),
        "sgdc": sgdc(16, 256) + sgdc(32, 64),
    }
    expected = blocks[mode] + (sge(48, 16, 16, 256) if mode != "none" else 0)
    assert measure(Pyramid, 16, 16).macs == expected


# what fvcore adds to the multiply-adds; a batch norm in evaluation is two operations a value, and so on


@pytest.mark.parametrize(
    ("layer", "a_value"),
    [
        (nn.BatchNorm2d(4), 2),
        (nn.BatchNorm2d(4, affine=False), 1),
        (nn.GroupNorm(2, 4), 5),
        (nn.GroupNorm(2, 4, affine=False), 4),
        (nn.LayerNorm(SIDE), 5),
        (nn.LayerNorm(SIDE, elementwise_affine=False), 4),
        (nn.AdaptiveAvgPool2d(2), 1),
        (nn.Upsample(scale_factor=2, mode="bilinear"), 4 * 4),
        (nn.Upsample(scale_factor=2), 4 * 1),
        (nn.ReLU(), 0),
        (nn.MaxPool2d(2), 0),
    ],
)
def test_overhead(layer, a_value):
    cost = measure(lambda: layer, 4, SIDE)
    assert (cost.macs, cost.overhead) == (0, a_value * 4 * SIDE**2)


@pytest.mark.parametrize("backbone", ["unet", "transunet", "resnet18", "levit_unet"])
def test_multiply_adds_and_overhead_are_what_fvcore_counts(backbone):
    fvcore = pytest.importorskip("fvcore.nn")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    config = configuration(f"backbone={backbone}_small", "conv=regular", "recipe.size=64")
    model = build_model(config).eval()
    analysis = fvcore.FlopCountAnalysis(model, torch.zeros(1, config.dataset.channels, 64, 64))
    analysis.set_op_handle("aten::scaled_dot_product_attention", attention_of_fvcore)  # it knows matmul alone
    with torch.no_grad():
        expected = analysis.total()
    cost = measure(lambda: build_model(config), config.dataset.channels, 64)
    assert cost.macs + cost.overhead == expected


def attention_of_fvcore(inputs, outputs):
    query, key, value = (each.type().sizes() for each in inputs[:3])
    return math.prod(query) * key[-2] + math.prod(query[:-1]) * key[-2] * value[-1]


@pytest.mark.parametrize(("size", "positions"), [(6, 36), ((4, 8), 32), ([8, 4], 32)])
def test_size_is_a_side_or_height_and_width(size, positions):
    assert measure(lambda: nn.Conv2d(3, 5, 1), 3, size).macs == 15 * positions


def test_counting_takes_no_memory_for_weights():
    cost = measure(lambda: nn.Conv2d(100_000, 100_000, 3, padding=1), 100_000, 2)  # 360 GB of weights
    assert cost.macs == 9 * 100_000**2 * 4


@pytest.mark.parametrize(
    ("name", "mixing"), [("regular", 0), ("magic_4x", 4), ("condconv", 8), ("odconv", 4), ("dcd", 0), ("weightnet", 0)]
)
def test_mixing_is_one_multiply_add_for_each_weight_of_each_kernel(name, mixing):
    cost = measure(lambda: create_conv(name, 32, 48, 3, padding=1, bias=False), 32, SIDE)
    assert cost.mixing == mixing * 9 * 32 * 48


def as_thop(cost: Complexity) -> int:
    return RULES["thop"].count(cost)


def test_thop_takes_a_dynamic_convolution_for_a_plain_one_and_its_attention():
    cost = measure(lambda: create_conv("condconv", 32, 48, 3, padding=1, bias=False), 32, SIDE)
    assert as_thop(cost) == 9 * 32 * 48 * SIDE**2 + 32 * 8


def test_ddconv_mixes_the_kernels_of_its_offsets_too():
    assert measure(lambda: create_conv("ddconv", 32, 48, 3, padding=1), 32, SIDE).mixing == 8 * 9 * 32 * (48 + 18)


def test_released_magic_1x_mixes_nothing():
    cost = measure(lambda: MAGICConv2d(32, 48, 3, padding=1, bias=False, num_kernels=1, form="released"), 32, SIDE)
    assert (cost.mixing, cost.macs) == (0, 9 * 32 * 48 * SIDE**2)
    assert cost.parameters == 9 * 32 * 48


def test_thop_takes_a_transposed_convolution_at_its_outputs_resolution():
    cost = measure(lambda: nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), 6, SIDE)
    assert cost.macs == SIDE**2 * 4 * 6 * 4 // 2
    assert as_thop(cost) == 4 * cost.macs


def test_thop_counts_four_operations_a_value_for_batch_norm():
    cost = measure(lambda: nn.BatchNorm2d(3), 3, SIDE)
    assert (cost.macs, as_thop(cost)) == (0, 4 * 3 * SIDE**2)


def test_the_plain_unet_has_the_first_number_of_table_6():
    cost = measure(lambda: UNet(1, 4), 1, 256)
    assert round(as_thop(cost) / 1e9, 3) == 54.675
    assert cost.macs == 48_104_472_576
    assert cost.parameters == 31_042_564


@pytest.mark.parametrize("conv", ["magic_2x", "ddconv"])
def test_counting_leaves_no_hooks_and_agrees_with_real_tensors(conv):
    def build():
        return UNet(1, 4, conv=CONVS[conv], width=8)

    model = build().eval()
    with torch.no_grad():
        macs = count_macs(model, torch.randn(1, 1, 32, 32))
    assert measure(build, 1, 32).macs == macs
    assert not any(module._forward_hooks for module in model.modules())
