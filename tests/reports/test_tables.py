"""Comparison tables: exact cells, honest notes, no mixtures, and files that other programs can read."""

import csv
import io
import itertools
import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from synthetic_runs import CLASSES, STRICT, scores, summary, write_run

from magicseg.errors import UserError
from magicseg.reports.paper_tables import paper_table, table_names
from magicseg.reports.results import load_results
from magicseg.reports.tables import build_table
from magicseg.reports.writers import to_csv, to_latex, to_markdown, write_table

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_tables.py"


@pytest.fixture
def runs(tmp_path):
    """Return a function that writes summaries as runs and returns all results."""

    def load(*contents):
        for number, content in enumerate(contents):
            write_run(tmp_path, content, name=f"{content['variant']}-s{content['seed']}-{number}")
        return load_results(tmp_path, pytest.fail)

    return load


def cell(table, row, column):
    (found,) = [cell for each in table.rows if each.label == row for cell in each.cells if cell.column.name == column]
    return found


def notes(table):
    return "\n".join(table.notes)


# cells


def test_mean_sample_deviation_and_difference_are_exact(runs):
    table = build_table(
        "magic_table2", runs(*(summary(seed=s, dice=d) for s, d in ((1, 0.875), (2, 0.90625), (3, 0.9375))))
    )
    dice = cell(table, "UNet", "mDice")
    assert dice.values == (87.5, 90.625, 93.75)
    assert (dice.n, dice.mean, dice.std) == (3, 90.625, 3.125)  # deviations -3.125, 0, 3.125; divisor 2
    assert dice.difference == 90.625 - 88.89
    assert cell(table, "UNet", "HD95").mean == 2.0
    assert cell(table, "UNet", "HD95").difference == 2.0 - 3.31


def test_class_columns_take_the_class(runs):
    content = summary(dice=0.875)
    content["scores"]["paper"]["classes"]["Myo"] = {"dice": {"mean": 0.75}}
    table = build_table("magic_table2", runs(content))
    assert [cell(table, "UNet", name).mean for name in ("mDice", "RV", "Myo", "LV")] == [87.5, 87.5, 75.0, 87.5]


def test_one_seed_has_no_deviation_and_a_missing_cell_no_number(runs):
    table = build_table("magic_table2", runs(summary(dice=0.875)))
    measured, missing = cell(table, "UNet", "mDice"), cell(table, "UNet +DCD", "mDice")
    assert (measured.n, measured.mean, measured.std) == (1, 87.5, None)
    assert (missing.n, missing.mean, missing.std, missing.difference) == (0, None, None, None)


def test_a_score_that_one_seed_lacks_is_not_counted_for_it(runs):
    first, second = summary(seed=1, hd95=2.0), summary(seed=2, hd95=3.0)
    second["scores"]["paper"]["mean"]["hd95"] = None
    table = build_table("magic_table2", runs(first, second))
    assert (cell(table, "UNet", "HD95").n, cell(table, "UNet", "HD95").mean) == (1, 2.0)
    assert cell(table, "UNet", "mDice").n == 2
    assert "2.00 (n = 1)" in to_markdown(table)
    assert "90.00 ± 0.00 (n = 2)" in to_markdown(table)


def test_parameters_are_measured_in_millions_and_gflops_are_not_part_of_a_run(runs):
    results = runs(summary(dataset="synapse", backbone="resnet18", parameters=12_345_678))
    table = build_table("magic_table5", results)
    assert cell(table, "ResNet 18", "Params").mean == pytest.approx(12.345678, rel=1e-12)
    assert cell(table, "ResNet 18", "GFLOPs").n == 0
    assert "GFLOPs are not part of a run" in notes(table)


def test_a_table_over_several_data_sets_takes_each_column_from_its_own(runs):
    results = runs(
        summary(dataset="acdc", conv="magic_2x", dice=0.75),
        summary(dataset="glas", conv="magic_2x", dice=0.5),
        summary(dataset="glas", conv="magic_2x_without_kr", dice=0.25),
    )
    table = build_table("magic_table7", results)
    assert [cell.mean for cell in table.rows[0].cells] == [75.0, 50.0]
    assert [cell.mean for cell in table.rows[1].cells] == [None, 25.0]


def test_the_order_of_results_does_not_matter(runs):
    contents = [summary(seed=s, dice=d) for s, d in ((1, 0.1), (2, 0.2), (3, 0.3))]
    contents.append(summary(conv="dcd", provenance={"git": {"commit": "b" * 40, "dirty": True}, "device": "CPU"}))
    results = runs(*contents)
    written = {to_markdown(build_table("magic_table2", order)) for order in itertools.permutations(results)}
    assert len(written) == 1


# what is shown, and what is not


def test_another_budget_is_left_out_and_counted(runs):
    results = runs(summary(dice=0.75), summary(budget="cpu", seed=2), summary(budget="cpu", seed=3), summary("phantom"))
    table = build_table("magic_table2", results)
    assert cell(table, "UNet", "mDice").values == (75.0,)
    assert "Not shown: 2 runs with budget cpu; add budget=cpu." in table.notes
    assert "CPU-sized" not in table.heading
    small = build_table("magic_table2", results, budget="cpu")
    assert cell(small, "UNet", "mDice").n == 2
    assert small.heading.endswith("(CPU-sized runs, not the paper's training)")
    assert "Not shown: 1 run with budget full; add budget=full." in small.notes


def test_another_protocol_is_said_in_the_heading_and_another_unit_is_not_compared(runs):
    table = build_table("magic_table2", runs(summary(hd95=7.0)), protocol="strict")
    assert table.heading.endswith("(scored under protocol strict, not the paper's)")
    distance = cell(table, "UNet", "HD95")
    assert (distance.mean, distance.unit, distance.difference) == (7.0, "mm", None)
    assert "7.00 mm" in to_markdown(table)
    assert cell(table, "UNet", "mDice").difference == pytest.approx(90 - 88.89, abs=1e-12)


def test_runs_without_the_protocol_are_counted(runs):
    without = summary(seed=2)
    del without["scores"]["strict"]
    table = build_table("magic_table2", runs(summary(), without), protocol="strict")
    assert cell(table, "UNet", "mDice").n == 1
    assert "Not shown: 1 run without scores under protocol strict." in table.notes


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "magic_table8"}, "Unknown table 'magic_table8'. Did you mean"),
        ({"budget": "fulll"}, "Unknown budget 'fulll'. Did you mean full"),
        ({"protocol": "papr"}, "Unknown protocol 'papr'. Did you mean paper"),
        ({"choices": {"variant": ["1a2b3c4e"]}}, "Unknown variant '1a2b3c4e'. Did you mean 1a2b3c4d"),
        ({"choices": {"colour": ["red"]}}, "Unknown choice 'colour'. .*variant"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(runs, arguments, text):
    with pytest.raises(UserError, match=text):
        build_table(**({"name": "magic_table2", "results": runs(summary())} | arguments))


def test_a_table_without_any_run_shows_the_printed_numbers_and_says_so():
    for name in table_names():
        table = build_table(name, [])
        assert "Measured numbers: no finished run with budget full and protocol paper." in table.notes
        assert all(cell.n == 0 for row in table.rows for cell in row.cells)


# mixtures

OTHER = {
    "variant": {"variant": "9e8d7c6b"},
    "data": {"data": {"manifest": "0" * 64, "split": "mtunet", "missing": []}},
    "split": {"data": {"manifest": "feedbeef" * 8, "split": "ssl4mis", "missing": []}},
    "code": {"provenance": {"git": {"commit": "c51856c4aa0f" * 3, "dirty": True}, "device": "NVIDIA H200"}},
    "checkpoint": {"checkpoint": {"rule": "last", "epoch": 9, "value": 0.8}},
    "protocol": {"scores": {"paper": scores(STRICT, "voxel", CLASSES["acdc"], 0.9, 2.0)}},
}
VALUES = {"variant": "9e8d7c6b", "data": "0000000000", "split": "ssl4mis", "code": "c51856c4aa-dirty"}


@pytest.mark.parametrize("what", OTHER)
def test_runs_that_differ_in_more_than_the_seed_are_never_averaged(runs, what):
    results = runs(summary(), summary(seed=2), summary(seed=3, **OTHER[what]))
    with pytest.raises(UserError, match=rf"acdc/unet/regular: {what}=\S+ \(seed 1, 2\), {what}=\S+ \(seed 3\)"):
        build_table("magic_table2", results)


@pytest.mark.parametrize(("what", "value"), VALUES.items())
def test_a_choice_resolves_a_mixture_and_leaves_other_rows_alone(runs, what, value):
    results = runs(summary(), summary(seed=3, dice=0.5, **OTHER[what]), summary(conv="dcd", dice=0.75))
    table = build_table("magic_table2", results, choices={what: [value]})
    assert cell(table, "UNet", "mDice").values == (50.0,)
    assert cell(table, "UNet +DCD", "mDice").values == (75.0,)
    assert "Not shown: 1 run that the given choice excludes." in table.notes


def test_a_mixture_that_no_choice_resolves_says_what_to_do(runs):
    results = runs(summary(), summary(seed=2, **OTHER["protocol"]))
    with pytest.raises(UserError, match=r"Choose by variant=\.\.\..* score the runs again under one rule"):
        build_table("magic_table2", results)


def test_a_seed_that_occurs_twice_is_refused_with_both_places(runs):
    results = runs(summary(), summary())
    with pytest.raises(UserError, match=r"Seed 1 of one run occurs twice: \S+s1-0\S+ and \S+s1-1\S+\. Remove one"):
        build_table("magic_table2", results)


def test_rows_may_differ_but_the_notes_say_which(runs):
    results = runs(summary(), summary(conv="dcd", **OTHER["data"]))
    text = notes(build_table("magic_table2", results))
    assert "manifest feedbeeffe, split mtunet (acdc/unet/regular)" in text
    assert "manifest 0000000000, split mtunet (acdc/unet/dcd)" in text


# notes


def test_the_notes_say_where_the_measured_numbers_come_from(runs):
    content = summary(provenance={"git": {"commit": "0123456789abcdef", "dirty": True}, "device": "CPU, 2 threads"})
    content["data"]["missing"] = ["patient007_frame02", "patient007_frame01"]
    text = notes(build_table("magic_table2", runs(content)))
    for part in (
        "Scores (paper): Protocol transunet: one score per volume and class",
        "class absent: zero, missed: zero, hallucinated: perfect",
        "Checkpoint: best_validation_dice.",
        "Rows measured: 1 of 27. Budget: full.",
        "Seeds: 1.",
        "Data: manifest feedbeeffe, split mtunet, without 2 missing cases (patient007_frame01, patient007_frame02).",
        "Code: commit 0123456789 with uncommitted changes.",
        "Hardware: CPU, 2 threads.",
        "Printed numbers: MAGIC: Rethinking Dynamic Convolution Design",
        "In the paper: Table 2: the printed mDice differs",
    ):
        assert part in text


def test_only_the_inconsistencies_of_this_table_are_noted(runs):
    text = notes(build_table("magic_table4", []))
    assert "Table 4 heads its columns mDice, mIoU, ACC" in text
    assert "printed mDice differs" not in text


# files


def test_markdown_is_aligned_and_shows_missing_cells_as_such(runs):
    table = build_table("magic_table2", runs(summary(dice=0.875), summary(seed=2, dice=0.90625), summary(conv="dcd")))
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert {line.count("|") for line in lines} == {8}
    text = [re.split(r" *\| *", line.strip("| ")) for line in lines]
    assert text[0] == ["mDice ↑", "HD95 ↓", "RV ↑", "Myo ↑", "LV ↑"]
    assert text[2:6] == [
        ["UNet", "paper", "88.89", "3.31", "84.70", "86.97", "95.02"],
        ["measured, n = 2", "89.06 ± 2.21", "2.00 ± 0.00", "89.06 ± 2.21", "89.06 ± 2.21", "89.06 ± 2.21"],
        ["difference", "+0.17", "-1.31", "+4.36", "+2.09", "-5.96"],
        ["UNet +DYConv (4×)", "paper; measured –", "89.48", "4.40", "86.30", "87.00", "95.13"],
    ]
    assert not any(" 0.00 |" in line for line in lines)


def test_a_bar_in_a_label_does_not_break_the_markdown(runs):
    table = build_table("magic_table2", [])
    odd = table.rows[0].__class__("a|b", table.rows[0].cells)
    text = to_markdown(table.__class__(**{**vars(table), "rows": (odd,)}))
    assert r"| a\|b " in text


@pytest.mark.parametrize("name", table_names())
def test_csv_has_a_line_for_each_cell_with_the_printed_text(name):
    table = build_table(name, [])
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    printed = [cell for row in paper_table(name).rows for cell in row.cells]
    assert [record["paper"] for record in records] == printed
    assert all(record["measured_mean"] == record["measured_std"] == record["difference"] == "" for record in records)
    assert {record["n"] for record in records} == {"0"}


def test_csv_holds_exact_numbers(runs):
    table = build_table("magic_table2", runs(summary(dice=0.875), summary(seed=2, dice=0.90625)))
    first, second, *_ = csv.DictReader(io.StringIO(to_csv(table)))
    assert first == {
        "table": "magic_table2",
        "row": "UNet",
        "column": "mDice",
        "paper": "88.89",
        "measured_mean": "89.0625",
        "measured_std": "2.209708691",  # 3.125 / sqrt(2)
        "n": "2",
        "difference": "0.1725",
        "unit": "percent",
        "direction": "up",
        "dataset": "acdc",
        "backbone": "unet",
        "conv": "regular",
        "metric": "dice",
        "class": "mean",
        "protocol": "paper",
        "budget": "full",
    }
    assert (second["column"], second["unit"], second["direction"]) == ("HD95", "voxel", "down")


def test_csv_names_a_unit_that_is_not_the_papers(runs):
    table = build_table("magic_table2", runs(summary()), protocol="strict")
    _, second, *_ = csv.DictReader(io.StringIO(to_csv(table)))
    assert (second["unit"], second["difference"]) == ("voxel (measured in mm)", "")


@pytest.mark.parametrize("name", table_names())
def test_latex_is_well_formed(name):
    text = to_latex(build_table(name, []))
    plain = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert re.findall(r"\\begin{(.+?)}", text) == re.findall(r"\\end{(.+?)}", text)[::-1]
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(paper_table(name).columns) + 1}
    assert len(rows) == len(paper_table(name).rows) + 1
    assert not re.search(r"(?<!\\)[%#]", text.split("\n", 1)[1])
    assert not re.search("[×±–↑↓]", text)


def test_latex_escapes_what_users_can_name(runs):
    content = summary(provenance={"git": {"commit": None, "dirty": None}, "device": r"A_B 50% & {x} #1 $2 ~^\<>"})
    text = to_latex(build_table("magic_table2", runs(content)))
    escaped = r"A\_B 50\% \& \{x\} \#1 \$2 \textasciitilde{}\textasciicircum{}\textbackslash{}\textless{}\textgreater{}"
    assert f"Hardware: {escaped}" in text
    assert r" & difference & $+1.11$ & $-1.31$ & " in text


def test_file_names_tell_a_budget_and_a_protocol_that_are_not_the_papers(tmp_path, runs):
    results = runs(summary(), summary(seed=2, budget="cpu"))
    table = build_table("magic_table2", results)
    paths = write_table(table, tmp_path / "tables")
    assert [path.name for path in paths] == ["magic_table2.md", "magic_table2.csv", "magic_table2.tex"]
    assert [path.read_text("utf-8") for path in paths] == [to_markdown(table), to_csv(table), to_latex(table)]
    small = build_table("magic_table2", results, protocol="strict", budget="cpu")
    assert write_table(small, tmp_path)[0].name == "magic_table2_strict_cpu.md"


# the command


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs the script and returns (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_tables.py", *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def test_the_command_prints_and_writes_a_table_and_names_what_it_could_not_read(tmp_path, command):
    write_run(tmp_path, summary())
    broken = write_run(tmp_path, summary(seed=2))
    broken.write_text("{")
    code, printed, _ = command("table=magic_table2", f"outputs={tmp_path}", f"destination={tmp_path / 'tables'}")
    written = (tmp_path / "tables" / "magic_table2.md").read_text("utf-8")
    assert code == 0
    assert printed.strip() == written.strip()
    assert f"- Left out: {broken} cannot be read as JSON" in written


def test_the_command_takes_choices(tmp_path, command):
    write_run(tmp_path, summary())
    write_run(tmp_path, summary(seed=2, dice=0.5, **OTHER["variant"]))
    arguments = ("table=magic_table2", f"outputs={tmp_path}", f"destination={tmp_path}")
    code, _, error = command(*arguments)
    assert code == 1
    assert "variant=1a2b3c4d (seed 1), variant=9e8d7c6b (seed 2)" in " ".join(error.split())
    assert command(*arguments, "variant=9e8d7c6b")[0] == 0
    assert "| 50.00 " in (tmp_path / "magic_table2.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["table=magic_table9"], "Unknown table 'magic_table9'. Did you mean"),
        (["tabel=magic_table2"], "Unknown argument 'tabel'. Did you mean table"),
        ([], "Missing: table=..."),
    ],
)
def test_the_command_explains_mistakes_in_a_paragraph(tmp_path, command, arguments, text):
    code, _, error = command(*arguments, f"outputs={tmp_path}")
    assert code == 1
    assert text in " ".join(error.split())


# size


def test_a_thousand_runs_make_a_table(tmp_path):
    rows = paper_table("magic_table2").rows
    for number in range(1000):
        row, seed = rows[number % 25], number // 25
        content = summary(backbone=row.backbone, conv=row.conv, seed=seed, dice=0.5 + seed / 128)
        path = tmp_path / row.backbone / row.conv / f"s{seed}" / "summary.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
        path.with_name("status.json").write_text('{"state": "finished"}')
    table = build_table("magic_table2", load_results(tmp_path, pytest.fail))
    counts = [row.cells[0].n for row in table.rows]
    assert counts == [40] * 25 + [0] * 2
    assert {row.cells[0].mean for row in table.rows[:25]} == {50 + 100 * 19.5 / 128}
