"""Comparison tables: exact cells, honest notes and no mixtures."""

import itertools
import json

import pytest
from synthetic_runs import CLASSES, STRICT, scores, summary

from magicseg.errors import UserError
from magicseg.reports.paper_tables import paper_table, table_names
from magicseg.reports.results import load_results
from magicseg.reports.tables import build_table
from magicseg.reports.writers import to_markdown


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
    contents.append(
        summary(conv="dcd", provenance={"code": "c0de", "git": {"commit": "b" * 40, "dirty": True}, "device": "CPU"})
    )
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
    "code": {"provenance": {"code": "0ff" * 21, "git": {"commit": None, "dirty": None}, "device": "NVIDIA H200"}},
    "checkpoint": {"checkpoint": {"rule": "last", "epoch": 9, "value": 0.8}},
    "protocol": {"scores": {"paper": scores(STRICT, "voxel", CLASSES["acdc"], 0.9, 2.0)}},
}
VALUES = {"variant": "9e8d7c6b", "data": "0000000000", "split": "ssl4mis", "code": "0ff0ff0ff0"}


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


def test_a_mixture_in_many_rows_lists_some_and_counts_the_rest(runs):
    convs = ["regular", "dyconv", "condconv", "dcd", "odconv", "ddconv"]
    results = runs(*(summary(conv=conv, seed=seed, variant=f"{seed}" * 8) for conv in convs for seed in (1, 2)))
    with pytest.raises(UserError, match=r"acdc/unet/condconv: .*; acdc/unet/dyconv: .*; and 2 more rows\. Choose"):
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
    content = summary(
        provenance={"code": "c0de", "git": {"commit": "0123456789abcdef", "dirty": True}, "device": "CPU, 2 threads"}
    )
    content["data"]["missing"] = ["patient007_frame02", "patient007_frame01"]
    content["scores"]["paper"]["counts"]["missed"] = 3
    text = notes(build_table("magic_table2", runs(content)))
    for part in (
        "Scores (paper): Protocol transunet: one score per volume and class",
        "class absent: zero, missed: zero, hallucinated: perfect",
        "Empty masks over all cases, classes and seeds: absent 0, missed 3, hallucinated 0.",
        "Checkpoint: best_validation_dice.",
        "Rows measured: 1 of 27. Budget: full.",
        "Seeds: 1.",
        "Data: manifest feedbeeffe, split mtunet, missing cases (2): patient007_frame01, patient007_frame02.",
        "Code: sources c0de, commit 0123456789 with uncommitted changes.",
        "Parameters: 31.04 M.",
        "Hardware: CPU, 2 threads.",
        "Printed numbers: MAGIC: Rethinking Dynamic Convolution Design",
        "In the paper: Table 2: the printed mDice differs",
    ):
        assert part in text


def test_only_the_inconsistencies_of_this_table_are_noted(runs):
    text = notes(build_table("magic_table4", []))
    assert "Table 4 heads its columns mDice, mIoU, ACC" in text
    assert "printed mDice differs" not in text


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
