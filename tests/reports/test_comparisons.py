"""Rows compared subject by subject: the right pairs, the right numbers, and a reason where there is none."""

import csv
import io

import numpy as np
import pytest
from scipy.stats import wilcoxon
from synthetic_runs import CLASSES, STRICT, fold, scores, summary, write_run

from magicseg.errors import UserError
from magicseg.reports.comparisons import with_comparisons
from magicseg.reports.markdown import to_markdown
from magicseg.reports.records import comparisons_csv
from magicseg.reports.request import Request
from magicseg.reports.results import load_results
from magicseg.reports.statistics import holm
from magicseg.reports.tables import build_table

NAN = float("nan")


def cases(dice, classes=("RV", "Myo", "LV"), first=0):
    return {f"p{first + index:03d}": {name: {"dice": value} for name in classes} for index, value in enumerate(dice)}


@pytest.fixture
def runs(tmp_path):
    """Return a function that writes (summary, dice by case) pairs as runs and returns all results.

    ``subjects`` (case -> subject) stand in the files of the first ``named`` runs, or of all.
    """

    def load(*pairs, subjects=None, named=None):
        for number, (content, dice) in enumerate(pairs):
            values = dice if isinstance(dice, dict) or dice is None else cases(dice)
            given = subjects if named is None or number < named else None
            write_run(tmp_path, content, name=str(number), cases=values, subjects=given)
        return load_results(tmp_path, pytest.fail)

    return load


def compared(results, reference="baseline", table="magic_table2", request=None):
    return with_comparisons(build_table(table, results, request), reference)


def pair(table, row, column="mDice"):
    (found,) = [cell for each in table.rows if each.label == row for cell in each.cells if cell.column.name == column]
    return found.pair


def notes(table):
    return " ".join(table.notes["Comparisons"])


STEPS = np.arange(1, 21) / 100
BETTER = 0.5 + STEPS
BASE = np.full(20, 0.5)


def test_difference_and_p_are_those_of_the_cases(runs):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.5, 1, (3, 20)), rng.uniform(0.5, 1, (2, 20))
    table = compared(
        runs(
            *((summary(conv="dcd", seed=seed), values) for seed, values in enumerate(a)),
            *((summary(seed=seed), values) for seed, values in enumerate(b)),
        )
    )
    found = pair(table, "UNet +DCD").comparison
    assert found.difference == pytest.approx(100 * (a.mean() - b.mean()), abs=1e-8)
    assert found.p_value == pytest.approx(wilcoxon(a.mean(axis=0), b.mean(axis=0)).pvalue, rel=1e-9)
    assert (found.subjects, found.seeds) == (20, (3, 2))
    assert found.low < found.difference < found.high
    assert pair(table, "UNet") is None  # the reference itself


def test_p_is_adjusted_for_all_comparisons_of_the_table(runs):
    rng = np.random.default_rng(1)
    results = runs(
        (summary(), BASE), *((summary(conv=conv), rng.uniform(0.4, 0.7, 20)) for conv in ("dcd", "dyconv", "ddconv"))
    )
    table = compared(results)
    pairs = [cell.pair for row in table.rows for cell in row.cells if cell.pair]
    assert len(pairs) == 15  # three rows, five columns
    assert [each.p_holm for each in pairs] == holm([each.comparison.p_value for each in pairs]).tolist()
    assert "for the 15 comparisons of this table" in notes(table)


def test_marks_say_better_or_worse_in_the_direction_of_the_column(runs):
    distances = {
        case: {name: {"dice": 0.5 + step, "hd95": 3 + step} for name in CLASSES["acdc"]}
        for case, step in zip(cases(BASE), STEPS, strict=True)
    }
    level = {case: {name: {"dice": 0.5, "hd95": 3} for name in CLASSES["acdc"]} for case in cases(BASE)}
    results = runs((summary(), level), (summary(conv="dcd"), distances))
    table = compared(results)
    (row,) = [row for row in table.rows if row.label == "UNet +DCD"]
    assert [cell.verdict for cell in row.cells] == ["†", "‡", "†", "†", "†"]
    assert pair(table, "UNet +DCD").name == "UNet"
    assert "| minus UNet " in to_markdown(table)
    assert "+10.50 [+" in to_markdown(table)
    assert {cell.verdict for row in table.rows for cell in row.cells if cell.pair is None} == {""}
    mirrored = compared(results, "dcd")
    assert [cell.verdict for cell in mirrored.rows[0].cells] == ["‡", "†", "‡", "‡", "‡"]


def test_no_mark_without_significance(runs):
    table = compared(runs((summary(), BASE), (summary(conv="dcd"), BASE + np.where(np.arange(20) % 2, 0.1, -0.1))))
    assert not pair(table, "UNet +DCD").significant
    assert "†" not in "".join(line for line in to_markdown(table).splitlines() if line.startswith("|"))


def test_no_mark_where_mean_and_ranks_disagree(runs):
    few_large = np.concatenate([0.001 + np.arange(35) / 1e4, np.full(5, -0.1) - np.arange(5) / 1e4])
    table = compared(runs((summary(), np.full(40, 0.5)), (summary(conv="dcd"), 0.5 + few_large)))
    found = pair(table, "UNet +DCD")
    assert (found.comparison.difference < 0, found.comparison.rank_difference) == (True, 440)
    assert found.significant
    assert {line["verdict"] for line in csv.DictReader(io.StringIO(comparisons_csv(table)))} == {"undecided"}
    assert "‡" not in "".join(line for line in to_markdown(table).splitlines() if line.startswith("|"))
    assert (
        "as the mean difference has the other sign (a few large differences decide it): UNet +DCD (mDice, RV, Myo, LV)."
        in notes(table)
    )


@pytest.mark.parametrize("reference", ["UNet +DCD", "dcd"])
def test_any_row_can_be_the_reference(runs, reference):
    table = compared(runs((summary(), BASE), (summary(conv="dcd"), BETTER)), reference)
    assert pair(table, "UNet").comparison.difference == pytest.approx(-10.5)
    assert pair(table, "UNet").reference == "UNet +DCD"
    assert pair(table, "UNet +DCD") is None


def test_a_label_is_the_reference_of_other_backbones_too_and_a_convolution_is_not(runs):
    results = runs((summary(), BASE), (summary(backbone="resnet18"), BETTER))
    assert pair(compared(results, "UNet"), "ResNet 18").comparison
    assert pair(compared(results), "ResNet 18") is None  # the baseline of its own backbone


def test_an_unknown_reference_is_refused_with_the_nearest(runs):
    with pytest.raises(UserError, match=r"Unknown reference row 'basline'. Did you mean baseline"):
        compared(runs((summary(), BASE)), "basline")


@pytest.mark.parametrize("reference", ["SGD-Net (Proposed)", "dcd"])
def test_a_reference_that_is_not_measured_compares_nothing_and_says_so(runs, reference):
    table = compared(runs((summary(), BASE)), reference)
    assert table.notes["Comparisons"] == ("Not compared: UNet: no reference row is measured.",)
    assert comparisons_csv(table)


def test_parameters_are_not_compared(runs):
    results = runs((summary("synapse", "resnet18"), None), (summary("synapse", "resnet18", "dcd"), None))
    table = compared(results, table="magic_table5")
    assert pair(table, "ResNet 18 +DCD", "Params") is None


# pairing

OTHER_DATA = {"data": {"manifest": "0" * 64, "split": "mtunet", "missing": []}}
OTHER_CODE = {"provenance": {"code": "0ff" * 21, "git": {}, "device": "CPU"}}
OTHER_RULES = {"scores": {"paper": scores(STRICT, "voxel", CLASSES["acdc"], 0.5, 2.0)}}


@pytest.mark.parametrize("other", [OTHER_DATA, OTHER_RULES])
def test_other_data_or_rules_are_not_compared(runs, other):
    request = Request(mix=frozenset({"data", "protocol"}))
    table = compared(runs((summary(), BASE), (summary(conv="dcd", **other), BETTER)), request=request)
    assert pair(table, "UNet +DCD").comparison is None
    assert "UNet +DCD: the reference rests on other data, split, protocol, budget, recipe or network." in notes(table)


def test_of_several_references_that_of_the_same_code_is_taken(runs):
    request = Request(mix=frozenset({"code"}))
    results = runs((summary(), BASE), (summary(**OTHER_CODE), BASE + 0.1), (summary(conv="dcd", **OTHER_CODE), BETTER))
    table = compared(results, request=request)
    assert pair(table, "UNet +DCD").comparison.difference == pytest.approx(0.5)
    others = compared([run for run in results if run.path.parent.name != "1"], request=request)
    assert pair(others, "UNet +DCD").comparison.difference == pytest.approx(10.5)  # the only one, though of other code


SHORT = {"config": {"recipe": {"epochs": 3}}, "variant": "3e"}
NARROW = {"config": {"backbone": {"network": {"width": 2}}}, "variant": "2w"}


@pytest.mark.parametrize(("other", "what"), [(SHORT, "recipe"), (NARROW, "network")])
def test_the_reference_has_the_same_recipe_and_network(runs, other, what):
    request = Request(mix=frozenset({what}))
    results = runs(
        (summary(**other), BASE + 0.1), (summary(), BASE), (summary(conv="dcd"), BETTER), (summary(conv="ddconv"), BASE)
    )
    table = compared(results, request=request)
    assert pair(table, "UNet +DCD").comparison.difference == pytest.approx(10.5)
    records = list(csv.DictReader(io.StringIO(comparisons_csv(table))))
    assert {(line["mark"], line["reference"], line["reference_mark"]) for line in records} == {("a", "UNet", "a")}
    assert "| minus UNet [a] " in to_markdown(table)
    alone = compared(
        [run for run in results if run.key.conv != "regular" or run.variant != "1a2b3c4d"], request=request
    )
    assert pair(alone, "UNet +DCD").reason.endswith("other data, split, protocol, budget, recipe or network")


def test_other_backbones_are_compared_whatever_their_network(runs):
    results = runs((summary(), BASE), (summary(backbone="resnet18", **NARROW), BETTER))
    assert pair(compared(results, "UNet"), "ResNet 18").comparison


def test_of_several_references_none_is_taken(runs):
    request = Request(mix=frozenset({"variant"}))
    results = runs((summary(), BASE), (summary(variant="other"), BASE + 0.1), (summary(conv="dcd"), BETTER))
    table = compared(results, request=request)
    reason = "several runs fit as reference (UNet [a], UNet [b]); choose one, e.g. by variant=... or code=..."
    assert pair(table, "UNet +DCD").reason == reason
    assert f"Not compared: UNet +DCD: {reason}." in notes(table)


def test_other_cases_are_not_compared(runs):
    table = compared(runs((summary(), BASE), (summary(conv="dcd"), cases(BETTER, first=3))))
    reason = "the runs were not tested on the same cases: 6 are not in all, first p000"
    assert pair(table, "UNet +DCD").reason == reason
    assert f"Not compared: UNet +DCD: {reason}." in notes(table)


def test_a_run_without_cases_is_named(runs):
    table = compared(runs((summary(), BASE), (summary(conv="dcd"), None)))
    assert "cases.csv cannot be read" in pair(table, "UNet +DCD").reason


def test_skipped_cases_are_left_out_of_both_and_counted(runs):
    skipping = [NAN, *BETTER[1:]]
    table = compared(runs((summary(), BASE), (summary(conv="dcd"), skipping)))
    found = pair(table, "UNet +DCD")
    assert (found.comparison.subjects, found.cases, found.skipped) == (19, 19, 1)
    assert "Up to 1 cases that the protocol skips" in notes(table)
    nothing = compared(runs((summary(conv="dyconv"), [NAN] * 20)))
    assert "no case is scored in all runs" in notes(nothing)


def test_the_folds_of_a_seed_are_its_cases(runs):
    def folded(conv, values):
        return [(fold(number, conv=conv), cases([value], ["lesion"], number)) for number, value in enumerate(values)]

    results = runs(*folded("regular", [0.5] * 5), *folded("sgdc", [0.6, 0.7, 0.8, 0.9, 1.0]))
    table = compared(results, table="sgdc_table4")
    found = pair(table, "(4) SGD-Net (Proposed)", "Dice").comparison
    assert (found.subjects, found.seeds) == (5, (1, 1))
    assert found.difference == pytest.approx(30)


FRAMES = {f"p{number:03d}": f"patient{number // 2}" for number in range(20)}


@pytest.mark.parametrize("named", [1, 2])  # runs that say which cases are of one subject; the cases are the same
def test_the_cases_of_a_subject_are_one_piece_of_evidence(runs, named):
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0.5, 1, (2, 20))
    table = compared(runs((summary(), b), (summary(conv="dcd"), a), subjects=FRAMES, named=named))
    found = pair(table, "UNet +DCD")
    expected = wilcoxon((a - b).reshape(10, 2).mean(axis=1)).pvalue
    assert found.comparison.p_value == pytest.approx(expected, rel=1e-9)
    assert (found.comparison.subjects, found.cases, found.subjects_known) == (10, 20, True)
    assert "The unit of test and interval is the subject, its cases averaged: 10 subjects (20 cases)." in notes(table)
    record = next(csv.DictReader(io.StringIO(comparisons_csv(table))))
    assert [record[name] for name in ("subjects", "cases", "informative_subjects")] == ["10", "20", "10"]


def test_without_subjects_each_case_counts_as_one_and_a_note_says_so(runs):
    table = compared(runs((summary(), BASE), (summary(conv="dcd"), BETTER)))
    assert not pair(table, "UNet +DCD").subjects_known
    assert "averaged: 20 subjects (20 cases)." in notes(table)
    assert "Each case counts as a subject of its own" in notes(table)


def test_a_subject_keeps_the_cases_that_are_not_skipped(runs):
    skipping = [NAN, 0.75, NAN, NAN, *BASE[4:]]
    table = compared(runs((summary(), np.zeros(20)), (summary(conv="dcd"), skipping), subjects=FRAMES))
    found = pair(table, "UNet +DCD")
    assert (found.comparison.subjects, found.cases, found.skipped) == (9, 17, 3)
    assert found.comparison.difference == pytest.approx((75 + 8 * 50) / 9)


def test_numbers_of_subjects_that_differ_are_told_by_row(runs):
    few = [NAN, NAN, *BETTER[2:]]
    contents = (summary(), BASE), (summary(conv="dcd"), few), (summary(conv="dyconv"), BETTER)
    table = compared(runs(*contents, subjects=FRAMES))
    text = (
        "its cases averaged: 10 subjects (20 cases): UNet +DYConv (4×), UNet +DCD (HD95); "
        "9 subjects (18 cases): UNet +DCD (mDice, RV, Myo, LV)."
    )
    assert text in notes(table)


def test_a_missing_fold_is_a_missing_case(runs):
    parts = [(fold(number, conv=conv), cases([0.5], ["lesion"], number)) for number, conv in ((0, "sgdc"), (1, "sgdc"))]
    table = compared(runs(*parts, (fold(0, conv="regular"), cases([0.5], ["lesion"]))), table="sgdc_table4")
    assert "1 are not in all, first p001" in pair(table, "(4) SGD-Net (Proposed)", "Dice").reason


@pytest.mark.parametrize("panoptic", ["pooled", "image", None])
def test_panoptic_quality_has_cases_unless_it_is_pooled_or_not_measured(runs, panoptic):
    block = scores(STRICT, "voxel", ["nucleus"], 0.5, 2.0)
    if panoptic:
        block["protocol"] |= {"instances": "components_8", "panoptic": panoptic}
        block["mean"] = block["mean"] | {"pq": 0.4}
    nuclei = [{case: {"nucleus": {"pq": value}} for case in cases(BASE)} for value in (0.25, 0.5)]
    contents = [summary("conic", backbone, scores={"paper": block}) for backbone in ("unet", "att_unet")]
    table = compared(runs(*zip(contents, nuclei, strict=True)), "U-Net (Ronneberger et al., 2015)", "sgdc_table3")
    dice, quality = (pair(table, "Att-UNet (Schlemper et al., 2019)", column) for column in ("Dice", "PQ"))
    assert dice.comparison.difference == 0
    if panoptic == "pooled":
        assert "PQ is pooled over all images" in quality.reason
    else:
        assert (quality and quality.comparison.difference) == (25 if panoptic else None)


# what the numbers cannot show


def test_too_few_subjects_are_said(runs):
    table = compared(runs((summary(), [0.5] * 5), (summary(conv="dcd"), [0.6, 0.7, 0.8, 0.9, 1.0])))
    assert "Too few subjects differ to show anything (fewer than 6): UNet +DCD." in notes(table)
    assert "A single seed, so that the interval does not cover the spread between trainings: UNet +DCD." in notes(table)
    assert "fewer than 5 seeds" not in notes(table)
    assert not pair(table, "UNet +DCD").significant


def test_too_many_comparisons_for_the_subjects_are_said(runs):
    table = compared(runs((summary(), BASE[:6]), (summary(conv="dcd"), BETTER[:6])))
    assert pair(table, "UNet +DCD").comparison.p_value < 0.05  # 2 / 2^6, the smallest there is
    assert "With 5 comparisons and at most 6 differing subjects no adjusted p can fall below 0.16" in notes(table)


def test_few_seeds_are_said(runs):
    several = [(summary(seed=seed, conv=conv), BASE) for seed in (1, 2) for conv in ("regular", "dcd")]
    assert "Intervals from fewer than 5 seeds tend to be too narrow." in notes(compared(runs(*several)))


def test_a_mark_that_rests_on_one_set_of_trainings_is_doubted(runs):
    seeds = [(summary(conv="dcd", seed=1), BETTER + 0.2), (summary(conv="dcd", seed=2), BETTER - 0.3)]
    table = compared(runs((summary(seed=1), BASE), (summary(seed=2), BASE), *seeds))
    assert pair(table, "UNet +DCD").significant
    assert "Marked, though the interval holds 0" in notes(table)


def test_nothing_is_doubted_that_rests_on_five_seeds_and_twenty_subjects(runs):
    rows = (("regular", BASE), ("dcd", BETTER), ("ddconv", BASE + STEPS * (-1) ** np.arange(20)))
    seeds = [(summary(seed=seed, conv=conv), dice) for seed in range(5) for conv, dice in rows]
    table = compared(runs(*seeds, subjects={name: name for name in cases(BASE)}))
    assert (pair(table, "UNet +DCD").direction, pair(table, "UNet +DDConv").direction) == (1, 0)
    method, unit, few = table.notes["Comparisons"]
    assert method.startswith("Compared with the regular convolution of the same backbone")
    assert unit == "The unit of test and interval is the subject, its cases averaged: 20 subjects (20 cases)."
    assert few == ("Too few subjects differ to show anything (fewer than 6): UNet +DCD (HD95), UNet +DDConv (HD95).")


# csv


def test_the_csv_holds_every_pair_and_every_reason(runs):
    results = runs((summary(), BASE), (summary(conv="dcd"), BETTER), (summary(conv="ddconv"), None))
    records = list(csv.DictReader(io.StringIO(comparisons_csv(compared(results)))))
    assert len(records) == 10
    first = records[0]
    assert {name: first[name] for name in ("row", "column", "reference", "unit", "verdict", "reason")} == {
        "row": "UNet +DCD",
        "column": "mDice",
        "reference": "UNet",
        "unit": "percent",
        "verdict": "better",
        "reason": "",
    }
    assert (first["difference"], first["cases"], first["seeds"], first["reference_seeds"]) == ("10.5", "20", "1", "1")
    assert float(first["p"]) == pytest.approx(2 / 2**20)
    assert float(first["p_holm"]) == pytest.approx(5 * 2 / 2**20)
    assert float(first["low"]) < 10.5 < float(first["high"])
    last = records[-1]
    assert (last["difference"], last["p"], last["verdict"]) == ("", "", "")
    assert "cannot be read" in last["reason"]


def test_without_a_comparison_there_is_no_csv():
    assert comparisons_csv(build_table("magic_table2", [])) == ""
