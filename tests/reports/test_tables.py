"""Comparison tables: exact cells, honest notes and no mixtures."""

import itertools

import pytest
from synthetic_runs import fold, summary, write_run

from magicseg.errors import UserError
from magicseg.reports.paper_tables import paper_table, table_names
from magicseg.reports.request import Request
from magicseg.reports.results import load_results
from magicseg.reports.tables import build_table
from magicseg.reports.writers import to_markdown


def cell(table, row, column):
    (found,) = [cell for each in table.rows if each.label == row for cell in each.cells if cell.column.name == column]
    return found


def notes(table):
    return "\n".join(sentence for sentences in table.notes.values() for sentence in sentences)


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
    results = runs(*(summary("synapse", "resnet18", seed=seed, parameters=12_345_678) for seed in (1, 2)))
    table = build_table("magic_table5", results)
    parameters = cell(table, "ResNet 18", "Params")
    assert parameters.mean == pytest.approx(12.345678, rel=1e-12)
    assert (parameters.n, parameters.std) == (2, None)  # counted, so that seeds have no spread
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
    assert [len(row.measured) for row in table.rows[:3]] == [1, 1, 0]  # a row counts that lacks a column


def test_the_order_of_results_does_not_matter(runs):
    contents = [summary(seed=s, dice=d) for s, d in ((1, 0.1), (2, 0.2), (3, 0.3))]
    contents.append(
        summary(
            conv="dcd", provenance={"code": "c0de" * 3, "git": {"commit": "b" * 40, "dirty": True}, "device": "CPU"}
        )
    )
    results = runs(*contents)
    written = {to_markdown(build_table("magic_table2", order)) for order in itertools.permutations(results)}
    assert len(written) == 1


# folds


def folds(*numbers, seed=1, dice=0.75, **changes):
    return [fold(number, seed=seed, dice=dice + number / 128, **changes) for number in numbers]


def test_the_folds_of_a_seed_are_one_experiment(runs):
    dice = cell(build_table("sgdc_table4", runs(*folds(0, 1, 2, 3, 4))), "(4) SGD-Net (Proposed)", "Dice")
    assert dice.n == 1
    assert dice.fold_values == (75.0, 75.78125, 76.5625, 77.34375, 78.125)
    assert dice.mean == 76.5625
    assert dice.std == pytest.approx(0.78125 * 2.5**0.5, rel=1e-12)  # of 0, 1, 2, 3, 4 with divisor 4
    assert (dice.counts, dice.complete) == ("n = 1, 5 folds", True)


def test_seeds_of_folds_are_averaged_over_their_folds_and_the_spread_is_that_of_the_folds(runs):
    results = runs(*folds(0, 1, 2, 3, 4), *folds(0, 1, 2, 3, 4, seed=2, dice=0.5))
    table = build_table("sgdc_table4", results)
    dice = cell(table, "(4) SGD-Net (Proposed)", "Dice")
    assert dice.values == (76.5625, 51.5625)
    assert dice.mean == 64.0625
    assert dice.fold_values == (62.5, 63.28125, 64.0625, 64.84375, 65.625)
    assert dice.counts == "n = 2, 5 folds"
    assert "measured, n = 2, 5 folds " in to_markdown(table)
    assert "± is the sample standard deviation over the folds, not over seeds" in notes(table)
    assert "Folds: all 5." in notes(table)


def test_incomplete_folds_are_stated_and_not_ranked(runs):
    results = runs(*folds(0, 1, 2, 3, 4), *folds(0, 3, seed=2), *folds(0, 1, 2, 3, 4, conv="contmix", dice=0.5))
    table = build_table("sgdc_table4", results)
    dice = cell(table, "(4) SGD-Net (Proposed)", "Dice")
    assert (dice.counts, dice.rank) == ("n = 2, 2–5 of 5 folds", 0)
    assert "incomplete, seed 2 has only fold0, fold3 of 5 folds (isic2018/res2net/sgdc)" in notes(table)
    assert "all 5 (isic2018/res2net/contmix)" in notes(table)


def test_folds_that_were_trained_differently_are_a_mixture(tmp_path):
    for number in range(5):
        write_run(tmp_path, fold(number, config={"recipe": {"epochs": 50 if number else 90}}))
    with pytest.raises(UserError, match=r"differ in recipe.* recipe=\w{8} \(recipe.epochs=90 \(shipped: 50\)\): isic"):
        build_table("sgdc_table4", load_results(tmp_path, pytest.fail))


def test_a_fold_that_occurs_twice_is_refused(runs):
    with pytest.raises(UserError, match=r"Seed 1, fold 3, of one run occurs twice"):
        build_table("sgdc_table4", runs(fold(3), fold(3)))


# what is shown, and what is not


def test_another_budget_is_left_out_and_counted(runs):
    results = runs(summary(dice=0.75), summary(budget="cpu", seed=2), summary(budget="cpu", seed=3), summary("phantom"))
    table = build_table("magic_table2", results)
    assert cell(table, "UNet", "mDice").values == (75.0,)
    assert table.notes["Not shown"] == ("2 runs with budget cpu; add budget=cpu.",)
    assert "CPU-sized" not in table.heading
    strict = build_table("magic_table2", results, Request("strict", ("cpu",)))
    assert strict.heading.endswith("training; scored under protocol strict, not the paper's)")
    small = build_table("magic_table2", results, Request(budgets=("cpu",)))
    assert cell(small, "UNet", "mDice").n == 2
    assert small.heading.endswith("(CPU-sized runs, not the paper's training)")
    assert small.notes["Not shown"] == ("1 run with budget full; add budget=full.",)


def test_code_of_several_sources_is_explained(runs):
    scored = {"code": "beef" * 16, "git": {"commit": "beefbeefbeef", "dirty": True}}
    table = build_table("magic_table2", runs(summary(scored=scored)))
    text = "Code: sources c0dec0dec0/beefbeefbe, commit c51856c4aa/beefbeefbe with uncommitted changes."
    assert text in table.notes["Measured numbers"]
    assert "a/b: trained by a and scored again by b" in notes(table)
    assert "scored again" not in notes(build_table("magic_table2", runs(summary(seed=2))[1:]))


def test_a_recipe_that_is_not_shipped_is_said_in_heading_and_notes(runs):
    content = summary(config={"recipe": {"epochs": 2}, "backbone": {"network": {"width": 2}}})
    table = build_table("magic_table2", runs(content))
    assert table.heading.endswith("(trained in other ways than the paper's, see Budget)")
    assert (
        "Budget: full with recipe.epochs=2 (shipped: 200), backbone.network.width=2 (shipped: 64)."
        in table.notes["Measured numbers"]
    )


def test_another_protocol_is_said_in_the_heading_and_another_unit_is_not_compared(runs):
    table = build_table("magic_table2", runs(summary(hd95=7.0)), Request("strict"))
    assert table.heading.endswith("(scored under protocol strict, not the paper's)")
    distance = cell(table, "UNet", "HD95")
    assert (distance.mean, distance.unit, distance.difference) == (7.0, "mm", None)
    assert "7.00 mm" in to_markdown(table)
    assert cell(table, "UNet", "mDice").difference == pytest.approx(90 - 88.89, abs=1e-12)


def test_a_protocol_can_be_asked_for_by_its_own_name(runs):
    results = runs(summary(dice=0.75))
    table = build_table("magic_table2", results, Request("transunet"))
    assert cell(table, "UNet", "mDice").mean == 75.0
    assert table.heading == build_table("magic_table2", results).heading  # it is the paper's


def test_runs_without_the_protocol_are_counted(runs):
    without = summary(seed=2)
    del without["scores"]["strict"]
    table = build_table("magic_table2", runs(summary(), without), Request("strict"))
    assert cell(table, "UNet", "mDice").n == 1
    assert table.notes["Not shown"] == ("1 run without scores under protocol strict.",)


def test_an_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"Unknown table 'magic_table8'. Did you mean"):
        build_table("magic_table8", [])


def test_a_table_without_any_run_shows_the_printed_numbers_and_says_so():
    for name in table_names():
        table = build_table(name, [])
        assert table.notes["Measured numbers"] == ("There is no finished run with budget full and protocol paper.",)
        assert all(cell.n == 0 for row in table.rows for cell in row.cells)


# own rows


def test_own_rows_stand_below_without_a_printed_number(runs):
    results = runs(summary(dice=0.75), summary(conv="my_conv", dice=0.5), summary("glas", conv="my_conv"))
    table = build_table("magic_table2", results, Request(own_rows={"conv": ["my_conv"]}))
    assert [row.label for row in table.rows[-2:]] == ["TransUNet +Our (4×)", "unet my_conv"]
    own = cell(table, "unet my_conv", "mDice")
    assert (own.printed, own.mean, own.difference, own.rank) == ("", 50.0, None, 2)
    assert "| unet my_conv " in to_markdown(table)
    assert "Rows measured: 2 of 28." in notes(table)


def test_own_rows_of_a_table_that_names_its_backbones_are_convolutions(runs):
    results = runs(summary("glas", conv="my_conv", dice=0.5), summary("glas", backbone="resnet18", conv="my_conv"))
    table = build_table("magic_table6", results, Request(own_rows={}))
    assert [row.label for row in table.rows if row.own] == ["my_conv"]
    assert [each.mean for each in table.rows[-1].cells] == [None, None, None, 50.0, None, None, None, None]


def test_rows_of_the_paper_and_rows_that_are_not_asked_for_are_not_added(runs):
    results = runs(summary(conv="my_conv"), summary(conv="regular"), summary(backbone="my_net"))
    assert len(build_table("magic_table2", results).rows) == 27
    own = build_table("magic_table2", results, Request(own_rows={"backbone": ["my_net", "unet"], "conv": ["regular"]}))
    assert [row.label for row in own.rows if row.own] == ["my_net regular"]


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
        "Rows measured: 1 of 27.",
        "Budget: full.",
        "Seeds: 1.",
        "Data: acdc, manifest feedbeeffe, split mtunet, missing cases (2): patient007_frame01, patient007_frame02.",
        "Code: sources c0de, commit 0123456789 with uncommitted changes.",
        "Parameters: 31.04 M.",
        "Hardware: CPU, 2 threads.",
        "Printed numbers: MAGIC: Rethinking Dynamic Convolution Design",
        "Table 2: the printed mDice differs",
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
        write_run(tmp_path, summary(backbone=row.backbone, conv=row.conv, seed=seed, dice=0.5 + seed / 128))
    table = build_table("magic_table2", load_results(tmp_path, pytest.fail))
    counts = [row.cells[0].n for row in table.rows]
    assert counts == [40] * 25 + [0] * 2
    assert {row.cells[0].mean for row in table.rows[:25]} == {50 + 100 * 19.5 / 128}
