"""The papers' tables beside the counts, and the script that prints them."""

import contextlib
import csv
import io
import re
from functools import cache

import pytest
import torch
from command_line import run_script

from magicseg.models.cto import CTO, EdgeAttention
from magicseg.models.levit_unet import LeViTUNet
from magicseg.models.transunet import TransUNet
from magicseg.models.unet import UNet
from magicseg.reports.complexity import Complexity, measure
from magicseg.reports.complexity_notes import NOTES
from magicseg.reports.complexity_tables import RULES, SETTINGS, Entry, Network, Section, compare_complexity, with_speed
from magicseg.reports.complexity_writers import describe, to_csv, to_markdown
from magicseg.reports.latency import Bench, Speed


def run(*arguments):
    """Run the script; return (exit code, stdout, stderr in one line)."""
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        code = run_script("complexity.py", *arguments)
    return code, printed.getvalue(), " ".join(errors.getvalue().split())


@cache
def table(name):
    """Return a table's rows as the script prints them: (heading, label) -> cells, and all it prints."""
    code, printed, _ = run(f"table={name}")
    assert code == 0
    rows, heading = {}, ""
    for line in printed.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| -", "|  ")):
            label, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            rows[heading, label] = cells
    return rows, printed


def test_magic_table_5():
    rows, printed = table("magic_table5")
    cells = {label.removeprefix("ResNet 18").strip(): cells for (_, label), cells in rows.items()}
    assert {heading for heading, _ in rows} == {"Complexity of magic_table5: resnet18, 3 x 256 x 256, 9 classes"}
    assert "G as fvcore counts, no mixing" in printed
    assert len(cells) == 9
    parameters = {label: float(row[2]) for label, row in cells.items()}
    assert parameters.pop("+DCD") == pytest.approx(-4.09, abs=0.01)
    assert all(abs(difference) < 0.1 for difference in parameters.values())
    gflops = {label: float(row[5]) for label, row in cells.items()}
    assert (gflops.pop("+ODConv (4×)"), gflops.pop("+DDConv")) == (-0.51, -0.72)  # the paper has their mixing
    assert all(abs(difference) <= 0.1 for difference in gflops.values())
    assert cells["+Our (4×)"] == ["49.99", "49.98", "-0.02", "9.685", "9.684", "-0.01", "9.694", "0.044"]


def test_magic_table_6_has_both_columns_each_by_its_counter():
    rows, printed = table("magic_table6")
    unet, transunet = "unet, 1 x 256 x 256, 4 classes", "transunet, 1 x 256 x 256, one logit"
    assert {heading for heading, _ in rows} == {f"Complexity of magic_table6: {each}" for each in (unet, transunet)}
    assert len(rows) == 16
    assert all(abs(float(cells[5])) < 0.05 for cells in rows.values())
    assert rows[f"Complexity of magic_table6: {unet}", "A.1 (none)"][3:7] == ["54.675", "54.675", "+0.00", "48.180"]
    full = rows[f"Complexity of magic_table6: {transunet}", "A.8 (SP, CH, NL)"]
    assert full == ["–", "126.12", "–", "38.528", "38.533", "+0.01", "38.416", "0.024"]
    assert printed.count("G as thop counts") == printed.count("G as fvcore counts, no mixing") == 1


def test_sgdc_table_2_states_its_gaps():
    rows, printed = table("sgdc_table2")
    cells = {label.split(" (")[0]: cells for (_, label), cells in rows.items()}
    assert cells == {
        "U-Net": ["7.78", "31.04", "+299.02", "14.59", "48.167", "+230.14", "0.000"],
        "LeViT": ["64.23", "52.16", "-18.80", "23.57", "33.239", "+41.02", "0.000"],
        "TransUNet": ["114.65", "105.32", "-8.14", "37.02", "38.384", "+3.69", "0.000"],
        "CTO": ["62.22", "59.77", "-3.93", "22.70", "22.816", "+0.51", "0.000"],
        "SGD-Net": ["75.88", "74.00", "-2.47", "36.23", "31.268", "-13.70", "0.000"],
    }
    assert printed.count("cannot be matched") == 3


# The numbers of the notes


def giga(count):
    return f"{count / 1e9:.3f}"


def million(count):
    return f"{count / 1e6:.3f}"


def as_fvcore_with_mixing(cost):
    return cost.macs + cost.overhead


def test_notes_on_magic_table_5():
    rows, _ = table("magic_table5")
    note, biases = NOTES["magic_table5"][:2]
    for label, with_mixing, difference in (("+ODConv (4×)", "9.719", "-0.05"), ("+DDConv", "10.159", "+0.19")):
        cells = next(cells for (_, row), cells in rows.items() if row.endswith(label))
        assert float(cells[4]) + float(cells[7]) == pytest.approx(float(with_mixing), abs=0.0011)
        assert f"{100 * (float(with_mixing) / float(cells[3]) - 1):+.2f}" == difference
        assert with_mixing in note
        assert difference.lstrip("+") in note
    outputs = 3840  # of the sixteen convolutions; each kernel of each would have so many biases
    for label, kernels, printed in (("+DYConv (4×)", 4, "45.59"), ("+CondConv (8×)", 8, "89.29")):
        cells = next(cells for (_, row), cells in rows.items() if row.endswith(label))
        assert float(cells[1]) + kernels * outputs / 1e6 == pytest.approx(float(printed), abs=0.0101)
        assert printed in biases


def test_notes_on_magic_table_6():
    text = " ".join(NOTES["magic_table6"])
    one, nine = (measure(lambda classes=classes: TransUNet(1, classes, image_size=256), 1, 256) for classes in (1, 9))
    assert nine.macs == 37_251_956_736 + 12 * 2 * 256**2 * 768  # the attentions of twelve layers, tokens x tokens x 768
    assert giga(as_fvcore_with_mixing(one)) in text
    assert giga(as_fvcore_with_mixing(nine)) in text
    assert giga(RULES["thop"].count(measure(lambda: UNet(1, 4), 1, 256))) in text
    rows, _ = table("magic_table6")
    for backbone, printed, found in (("unet", "0.040", "0.027"), ("transunet", "0.010", "0.008")):
        none, nonlocal_ = (
            next(
                cells for (heading, row), cells in rows.items() if f": {backbone}," in heading and row.startswith(label)
            )
            for label in ("A.1", "A.4")
        )
        assert f"{float(nonlocal_[3]) - float(none[3]):.3f}" == printed
        assert float(nonlocal_[4]) - float(none[4]) == pytest.approx(float(found), abs=0.0011)
        assert printed in text
        assert found in text


def test_notes_on_sgd_net():
    note = next(note for note in NOTES["sgdc_table2"] if note.startswith("SGD-Net"))
    rows, _ = table("sgdc_table2")
    executed = next(float(cells[4]) for (_, label), cells in rows.items() if label.startswith("SGD-Net"))
    sobels = 2 * 9 * 256 * 256 * (64**2 + 8**2)  # two directions, on x1's map and on x4's
    with torch.device("meta"):
        attention = sum(parameter.numel() for parameter in EdgeAttention([256, 512, 1024, 2048]).parameters())
    assert f"{giga(sobels)} G" in note
    assert f"{executed + sobels / 1e9:.3f} G" in note
    assert f"has {million(attention)} M" in note


def test_notes_on_cto():
    note = next(note for note in NOTES["sgdc_table2"] if note.startswith("CTO"))
    unused = {"fc": 2_049_000, "fft": 198_144, "dm4": 185_605}
    others = 8_008 + 2_051 + 130 + 8  # erb, reduce5, predictor4, and eight more
    published = 62_216_794  # with two classes
    cost = measure(lambda: CTO(3, 2), 3, 256)
    assert cost.parameters == published - sum(unused.values()) - others
    assert f"{million(published - cost.parameters)} M" in note
    assert f"{million(cost.parameters)} M" in note
    assert all(f"{number:,}" in note for number in (*unused.values(), others))
    patches = sum(2 * (64 // side) ** 4 * 64 * side**2 for side in (32, 16, 8, 4))  # on 64 x 64, 64 channels each
    positions, channels = 64**2 * (72 + 576), 2 * 576**2 * 64  # on 8 x 8, 576 channels
    assert f"{giga(patches + positions + channels)} G" in note


def test_notes_on_rows_that_cannot_be_matched():
    unet, levit = (next(note for note in NOTES["sgdc_table2"] if note.startswith(name)) for name in ("U-Net", "LeViT"))
    half = measure(lambda: UNet(3, 1, width=32), 3, 256)
    assert f"{million(half.parameters)} M" in unet
    assert f"{giga(half.macs)} G" in unet
    assert giga(RULES["thop"].count(half)) in unet
    assert f"{giga(measure(lambda: LeViTUNet(3, 1, image_size=224), 3, 224).macs)} G" in levit


# Writing


COST = Complexity(parameters=1_500_000, macs=2_000_000_000, mixing=250_000_000, overhead=125_000_000, thop_surplus=0)
SPEED = Speed(latency=0.0123, throughput=4.56, forward_memory=3 * 2**20, training_memory=7 * 2**20)
BENCH = Bench(torch.device("cpu"), batch=4, repeats=9)


def counted(name):
    return compare_complexity(name, lambda network: COST)


def test_every_row_that_can_be_built_is_asked_for_once():
    asked = []
    for name in SETTINGS:
        compare_complexity(name, lambda network: asked.append(network) or COST)
    assert len(asked) == len(set(asked)) == 9 + 2 * 8 + 5
    assert asked[0] == Network("resnet18", "regular", 3, 9, (256, 256))
    assert asked[-1] == Network("res2net", "sgdc", 3, 1, (256, 256))


def test_speed_stands_beside_the_counts():
    asked = []

    def timed(networks):
        asked.append(dict(networks))
        return {label: SPEED for label in networks}

    sections = [with_speed(section, BENCH, timed) for section in counted("magic_table6")]
    assert [len(networks) for networks in asked] == [8, 8]  # the networks of a column take turns
    printed = to_markdown(sections)
    assert printed.count(f"Measured on {BENCH}. Memory is of one image, beyond the weights, with their gradients") == 2
    assert "| ms/image | images/s, batch 4 | MiB forward | MiB training |" in printed
    assert len(re.findall(r"\| 12\.30 +\| 4\.56 +\| 3 +\| 7 +\|", printed)) == 16


def test_csv_has_full_precision():
    plain = list(csv.DictReader(io.StringIO(to_csv(counted("magic_table6")))))
    assert len(plain) == 16
    assert plain[8] == {
        "table": "magic_table6",
        "row": "A.1 (none)",
        "backbone": "transunet",
        "conv": "magic_4x_drf_none",
        "channels": "1",
        "height": "256",
        "width": "256",
        "classes": "1",
        "parameters": "1500000",
        "multiply_adds": "2000000000",
        "mixing": "250000000",
        "normalisation_and_resizing": "125000000",
        "rule": "as fvcore counts, no mixing",
        "by_rule": "1875000000",
        "paper_parameters_million": "",
        "paper_gflops": "38.517",
    }
    timed = [with_speed(section, BENCH, lambda n: dict.fromkeys(n, SPEED)) for section in counted("sgdc_table2")]
    first = next(csv.DictReader(io.StringIO(to_csv(timed))))
    assert first["paper_parameters_million"] == "7.78"
    assert [first[key] for key in ("measured_on", "latency_seconds", "images_per_second", "batch")] == [
        str(BENCH), "0.0123", "4.56", "4",
    ]  # fmt: skip
    assert (first["forward_bytes"], first["training_bytes"]) == (str(3 * 2**20), str(7 * 2**20))


def test_one_network_in_words():
    entry = Entry("unet with regular", Network("unet", "regular", 3, 1, (192, 256)), {}, COST, SPEED)
    assert describe(Section("", "macs", [entry], BENCH)).splitlines() == [
        "unet with regular, 3 x 192 x 256, one logit",
        "parameters     1,500,000",
        "multiply-adds  2.000 G, of them kernel mixing 0.250 G",
        "as fvcore counts, normalisation and resizing add 0.125 G",
        f"on {BENCH}:",
        "latency        12.30 ms an image",
        "throughput     4.56 images/s in batches of 4",
        "peak memory    3 MiB forward, 7 MiB in training, of one image, beyond the weights",
    ]


# The command line


@pytest.mark.parametrize(
    ("arguments", "heading", "parameters"),
    [
        (["backbone=att_unet", "classes=1"], "3 x 64 x 64, one logit", 34_878_573),
        (["backbone=transfuse", "classes=1", "size=[192,256]"], "3 x 192 x 256, one logit", 26_248_341),
        (["backbone=cto", "classes=2", "size=[128,256]"], "3 x 128 x 256, 2 classes", 59_773_848),
        (["backbone=levit_unet", "channels=1", "size=224"], "1 x 224 x 224, 9 classes", 52_166_029),
    ],
)
def test_one_network_at_its_own_size_without_pretrained_weights(arguments, heading, parameters):
    code, printed, errors = run("conv=regular", "size=64", *arguments)
    assert (code, errors) == (0, "")
    first, second = printed.splitlines()[:2]
    assert first == f"{arguments[0].removeprefix('backbone=')} with regular, {heading}"
    assert second == f"parameters     {parameters:,}"


def test_one_network_measured_and_written(tmp_path):
    threads, path = torch.get_num_threads(), tmp_path / "new" / "unet.csv"
    try:
        code, printed, errors = run(
            "backbone=unet_small", "conv=sgdc", "channels=1", "classes=4", "size=[32,64]", "measured=true",
            "batch=2", "repeats=2", "threads=1", "device=cpu", f"output={path}",
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    assert code == 0
    assert "batches of 2" in errors  # the progress
    lines = printed.splitlines()
    assert lines[0] == "unet with sgdc, 1 x 32 x 64, 4 classes"
    assert re.fullmatch(r"on CPU \(.*\), 1 thread, PyTorch .*, float32, medians of 2:", lines[4])
    (record,) = csv.DictReader(path.open())
    assert lines[1] == f"parameters     {int(record['parameters']):,}"
    assert (record["height"], record["width"], record["batch"]) == ("32", "64", "2")
    assert float(record["latency_seconds"]) > 0
    assert float(record["images_per_second"]) > 0
    assert int(record["training_bytes"]) > int(record["forward_bytes"]) > 0


def test_a_recipe_with_a_single_logit():
    code, printed, _ = run("backbone=unet_small", "conv=regular", "size=32", "classes=2", "recipe.output=sigmoid")
    assert code == 0
    assert printed.startswith("unet with regular, 3 x 32 x 32, one logit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["table=magic_table9"],
            "Unknown table 'magic_table9'. Did you mean magic_table6 or magic_table5 or sgdc_table2?",
        ),
        (["table=magic_table5", "size=64"], "table=magic_table5 says what is counted; leave out size=64."),
        (["table=sgdc_table2", "conv=sgdc", "classes=2"], "leave out conv=sgdc classes=2."),
        (["backbone=resnet19"], "Unknown backbone 'resnet19'. Did you mean resnet18"),
        (["backbon=unet"], "Unknown key 'backbon'. Did you mean backbone or"),
        (["unet"], "Argument 'unet' is not of the form key=value."),
        (["size=0"], "recipe.size is 0; it must be"),
        (["size=[64,64,64]"], "recipe.size is [64, 64, 64]; it must be one number or [height, width]."),
        (["channels=0"], "channels=0 must be at least 1."),
        (["classes=0"], "classes=0 must be at least 1."),
        (["backbone=resnet18", "size=100"], "must be multiples of 32; the nearest is 96."),
        (["backbone=transfuse", "size=[190,256]"], "must be multiples of 16; the nearest is [192, 256]."),
        (["batch=4", "device=cpu"], "batch=4 device=cpu: for measured=true alone."),
        (["measured=true", "repeats=0"], "repeats=0 must be at least 1."),
        (["measured=true", "batch=0"], "batch=0 must be at least 1."),
        (["measured=true", "threads=-1"], "threads=-1 must be at least 0."),
        (["measured=true", "device=gpu"], "device=gpu cannot be used"),
        (["measured=true", "device=meta"], "Unknown device 'meta'. Allowed: cpu, cuda."),
        (["backbone=unet_small", "size=16", "measured=true", "repeats=1"], "Choose a larger size."),
    ],
)
def test_mistakes(arguments, message):
    code, printed, errors = run(*arguments)
    assert code == 1
    assert not printed
    assert message in errors
