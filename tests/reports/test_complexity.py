"""The counter against closed formulas and against the papers' printed numbers."""
# ruff: noqa: E741

import math
import runpy
import sys

import pytest
import torch
from command_line import PROJECT
from torch import nn

from magicseg.convs.create import CONVS, create_conv
from magicseg.convs.magic import MAGICConv2d
from magicseg.models.unet import UNet
from magicseg.reports.complexity import count_macs, measure

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


@pytest.mark.parametrize(
    ("name", "mixing"), [("regular", 0), ("magic_4x", 4), ("condconv", 8), ("odconv", 4), ("dcd", 0), ("weightnet", 0)]
)
def test_mixing_is_one_multiply_add_for_each_weight_of_each_kernel(name, mixing):
    cost = measure(lambda: create_conv(name, 32, 48, 3, padding=1, bias=False), 32, SIDE)
    assert cost.mixing == mixing * 9 * 32 * 48


def test_thop_takes_a_dynamic_convolution_for_a_plain_one_and_its_attention():
    cost = measure(lambda: create_conv("condconv", 32, 48, 3, padding=1, bias=False), 32, SIDE)
    assert cost.thop == 9 * 32 * 48 * SIDE**2 + 32 * 8


def test_ddconv_mixes_the_kernels_of_its_offsets_too():
    assert measure(lambda: create_conv("ddconv", 32, 48, 3, padding=1), 32, SIDE).mixing == 8 * 9 * 32 * (48 + 18)


def test_released_magic_1x_mixes_nothing():
    cost = measure(lambda: MAGICConv2d(32, 48, 3, padding=1, bias=False, num_kernels=1, form="released"), 32, SIDE)
    assert (cost.mixing, cost.macs) == (0, 9 * 32 * 48 * SIDE**2)
    assert cost.parameters == 9 * 32 * 48


def test_thop_takes_a_transposed_convolution_at_its_outputs_resolution():
    cost = measure(lambda: nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), 6, SIDE)
    assert cost.macs == SIDE**2 * 4 * 6 * 4 // 2
    assert cost.thop == 4 * cost.macs


def test_thop_counts_four_operations_a_value_for_batch_norm():
    cost = measure(lambda: nn.BatchNorm2d(3), 3, SIDE)
    assert (cost.macs, cost.thop) == (0, 4 * 3 * SIDE**2)


def test_the_plain_unet_has_the_first_number_of_table_6():
    cost = measure(lambda: UNet(1, 4), 1, 256)
    assert round(cost.thop / 1e9, 3) == 54.675
    assert cost.macs == 48_104_472_576
    assert cost.parameters == 31_042_564


def test_counting_leaves_no_hooks_and_agrees_with_real_tensors():
    model = UNet(1, 4, conv=CONVS["magic_2x"], width=8).eval()
    with torch.no_grad():
        macs = count_macs(model, torch.randn(1, 1, 32, 32))
    assert measure(lambda: UNet(1, 4, conv=CONVS["magic_2x"], width=8), 1, 32).macs == macs
    assert not any(module._forward_hooks for module in model.modules())


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs the script and returns (exit code, stdout, stderr in one line)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["complexity.py", *arguments])
        code = 0
        try:
            runpy.run_path(str(PROJECT / "scripts" / "complexity.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code
        printed, errors = capsys.readouterr()
        return code, printed, " ".join(errors.split())

    return run


def rows(printed):
    lines = [line.strip("| ").split("|") for line in printed.splitlines() if line.startswith("| ")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines[1:]}


def test_table_5_is_reached(command):
    code, printed, _ = command("table=magic_table5")
    table = rows(printed)
    measured = {name: cells for name, cells in table.items() if name.startswith("ResNet 18")}
    assert code == 0
    assert len(measured) == 9
    parameters = {name: float(cells[2]) for name, cells in measured.items()}
    assert parameters.pop("ResNet 18 +DCD") == pytest.approx(-4.09, abs=0.01)
    assert all(abs(difference) < 0.1 for difference in parameters.values())
    assert all(abs(float(cells[5])) < 0.6 for cells in measured.values())
    assert measured["ResNet 18 +Our (4×)"] == ["49.99", "49.98", "-0.02", "9.685", "9.694", "+0.09", "0.044"]


def test_table_6_is_reached(command):
    code, printed, _ = command("table=magic_table6")
    measured = {name: cells for name, cells in rows(printed).items() if name.startswith("A.")}
    assert code == 0
    assert len(measured) == 8
    assert measured["A.1 (none)"][3:7] == ["54.675", "54.675", "+0.00", "48.180"]
    assert all(abs(float(cells[5])) < 0.05 for cells in measured.values())


def test_one_network(command):
    code, printed, _ = command(
        "backbone=unet", "conv=regular", "backbone.network.width=16", "size=64", "channels=1", "classes=4"
    )
    assert code == 0
    assert printed.splitlines() == [
        "unet with regular, 1 x 64 x 64, 4 classes",
        "parameters     1,943,812",
        "multiply-adds  0.189 G, of them kernel mixing 0.000 G",
        "as thop counts 0.216 G",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table=magic_table9"], "Unknown table 'magic_table9'. Did you mean magic_table6 or magic_table5?"),
        (["table=magic_table5", "size=64"], "table=magic_table5 says what is counted; leave out size=64."),
        (["backbone=resnet19"], "Unknown backbone 'resnet19'. Did you mean resnet18"),
        (["backbon=unet"], "Unknown key 'backbon'. Did you mean backbone or conv?"),
        (["unet"], "Argument 'unet' is not of the form key=value."),
        (["size=0"], "size=0 must be at least 1."),
        (["backbone=resnet18", "size=100"], "needs a multiple of 32; the nearest is 96."),
    ],
)
def test_mistakes(command, arguments, message):
    code, printed, errors = command(*arguments)
    assert code == 1
    assert not printed
    assert message in errors
