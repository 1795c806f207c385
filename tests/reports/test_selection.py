"""No mixture goes unasked, and none is ever averaged."""

import pytest
from synthetic_runs import CLASSES, STRICT, fold, scores, summary

from magicseg.errors import UserError
from magicseg.reports.markdown import to_markdown
from magicseg.reports.request import Request
from magicseg.reports.tables import build_table

GIT = {"commit": None, "dirty": None}
OTHER = {
    "data": {"data": {"manifest": "0" * 64, "split": "mtunet", "missing": []}},
    "split": {"data": {"manifest": "feedbeef" * 8, "split": "ssl4mis", "missing": []}},
    "code": {"provenance": {"code": "0ff" * 21, "git": GIT, "device": "NVIDIA H200"}},
    "checkpoint": {"checkpoint": {"rule": "last", "epoch": 9, "value": 0.8}},
    "protocol": {"scores": {"paper": scores(STRICT, "voxel", CLASSES["acdc"], 0.5, 2.0)}},
}
OTHER |= {
    "recipe": {"config": {"recipe": {"epochs": 50}}, "variant": "9e8d7c6b"},
    "network": {"config": {"backbone": {"network": {"width": 2}}}, "variant": "9e8d7c6b"},
}
VALUES = {"data": "0000000000", "split": "ssl4mis", "code": "0ff0ff0ff0", "recipe": "9860c5b3", "network": "9b4bafde"}


def cells(table, row, column="mDice"):
    (found,) = [each for each in table.rows if each.label == row]
    return [cell for line in found.measured for cell in line if cell.column.name == column]


# refused


@pytest.mark.parametrize("what", OTHER)
@pytest.mark.parametrize("conv", ["regular", "dcd"])
def test_runs_that_differ_are_refused_within_a_row_and_between_rows(runs, what, conv):
    results = runs(summary(), summary(seed=2), summary(seed=3, conv=conv, **OTHER[what]))
    found = rf"magic_table2: these runs differ in {what}, .*Found .*{what}=\S+( \(.*\))?: acdc/unet/{conv} \(seed 3\)"
    with pytest.raises(UserError, match=found) as error:
        build_table("magic_table2", results)
    assert f"mix={what}" in str(error.value)
    assert "acdc/unet/regular (seed 1, 2)" in str(error.value)
    assert (f"Choose by {what}=..." in str(error.value)) == (what in VALUES)


@pytest.mark.parametrize("what", [what for what in OTHER if what != "network"])
def test_backbones_do_not_differ_in_anything_but_their_network(runs, what):
    with pytest.raises(UserError, match=rf"magic_table2: these runs differ in {what}, "):
        build_table("magic_table2", runs(summary(), summary(backbone="resnet18", **OTHER[what])))


def test_data_sets_of_one_table_share_the_code(runs):
    results = runs(summary(conv="magic_4x"), summary("glas", conv="magic_4x", **OTHER["code"]))
    with pytest.raises(UserError, match=r"magic_table7: these runs differ in code, .*code=0ff0ff0ff0: glas/unet"):
        build_table("magic_table7", results)


def test_a_row_has_one_variant_and_another_row_another(runs):
    results = runs(summary(), summary(conv="dcd", variant="9e8d7c6b"), summary(seed=2, variant="9e8d7c6b"))
    assert cells(build_table("magic_table2", results[:2]), "UNet")
    with pytest.raises(UserError, match=r"variant=1a2b3c4d: acdc/unet/regular \(seed 1\), variant=9e8d7c6b: acdc/unet"):
        build_table("magic_table2", results)


def test_a_recipe_or_network_is_said_in_words(runs):
    results = runs(summary(), summary(conv="dcd", **OTHER["recipe"]))
    with pytest.raises(UserError, match=r"recipe=\w{8} \(recipe.epochs=50 \(shipped: 200\)\): acdc/unet/dcd") as error:
        build_table("magic_table2", results)
    assert "(as shipped): acdc/unet/regular (seed 1)" in str(error.value)


def test_other_backbones_are_other_networks(runs):
    other = summary(backbone="resnet18", config={"backbone": {"network": {"width": 2}}})
    assert cells(build_table("magic_table2", runs(summary(), other)), "ResNet 18")


def test_data_sets_of_one_table_differ_in_data_split_and_protocol(runs):
    glas = summary("glas", conv="magic_4x", **OTHER["data"], **OTHER["checkpoint"])
    glas["scores"] = {"paper": scores(STRICT, "voxel", ["gland"], 0.5, 2.0)}
    table = build_table("magic_table7", runs(summary(conv="magic_4x"), glas))
    assert [cell.mean for cell in table.rows[2].cells] == [90.0, 50.0]
    assert [cell.mark for cell in table.rows[2].cells] == ["", ""]


def test_a_mixture_in_many_rows_lists_some_and_counts_the_rest(runs):
    convs = ["regular", "dyconv", "condconv", "dcd", "odconv", "ddconv"]
    results = runs(*(summary(conv=conv, seed=seed, variant=f"{seed}" * 8) for conv in convs for seed in (1, 2)))
    with pytest.raises(UserError, match=r"variant=11111111: acdc/unet/\S+ \(seed 1\); .*; and 2 more rows, variant=2"):
        build_table("magic_table2", results)


def test_a_seed_that_occurs_twice_is_refused_with_both_places(runs):
    with pytest.raises(UserError, match=r"Seed 1 of one run occurs twice: \S+s1-0\S+ and \S+s1-1\S+\. Remove one"):
        build_table("magic_table2", runs(summary(), summary()))


# chosen


@pytest.mark.parametrize(("what", "value"), VALUES.items())
def test_a_choice_keeps_what_fits_and_counts_what_does_not(runs, what, value):
    results = runs(summary(), summary(seed=3, dice=0.5, **OTHER[what]), summary(conv="dcd", dice=0.75))
    table = build_table("magic_table2", results, Request(choices={what: [value]}))
    assert [cell.values for cell in cells(table, "UNet")] == [(50.0,)]
    assert cells(table, "UNet +DCD") == []
    assert table.notes["Not shown"] == ("2 runs that the given choice excludes.",)


def test_a_variant_chooses_within_its_row_only(runs):
    results = runs(summary(), summary(seed=3, dice=0.5, variant="9e8d7c6b"), summary(conv="dcd", dice=0.75))
    table = build_table("magic_table2", results, Request(choices={"variant": ["9e8d7c6b"]}))
    assert [cell.values for cell in cells(table, "UNet")] == [(50.0,)]
    assert [cell.values for cell in cells(table, "UNet +DCD")] == [(75.0,)]


def test_data_choose_within_their_data_set_only(runs):
    glas = summary("glas", conv="magic_4x", dice=0.75)
    results = runs(summary(conv="magic_4x"), summary(conv="magic_4x", seed=2, dice=0.5, **OTHER["data"]), glas)
    table = build_table("magic_table7", results, Request(choices={"data": ["0000000000"]}))
    assert [cell.values for cell in table.rows[2].cells] == [(50.0,), (75.0,)]


# mixed because asked for


@pytest.mark.parametrize("what", OTHER)
def test_asked_for_rows_that_differ_are_marked_and_explained(runs, what):
    results = runs(summary(), summary(conv="dcd", dice=0.5, **OTHER[what]))
    table = build_table("magic_table2", results, Request(mix=frozenset({what})))
    assert [cell.mark for cell in cells(table, "UNet") + cells(table, "UNet +DCD")] == ["a", "b"]
    (meaning,) = [note for note in table.notes["How to read it"] if note.startswith("Letters")]
    assert meaning.count(f" {what} ") == 2
    assert "90.00ᵃ" in to_markdown(table).replace("**", "")
    assert "50.00ᵇ" in to_markdown(table).replace("<ins>", "").replace("</ins>", "")


@pytest.mark.parametrize("what", [*OTHER, "variant"])
def test_a_row_that_is_mixed_has_a_line_for_each_setting_and_no_common_mean(runs, what):
    other = OTHER.get(what, {"variant": "9e8d7c6b"})
    results = runs(summary(dice=0.75), summary(seed=2, dice=0.875), summary(seed=3, dice=0.5, **other))
    table = build_table("magic_table2", results, Request(mix=frozenset({what})))
    measured = sorted(cell.values for cell in cells(table, "UNet"))
    assert measured == [(50.0,), (75.0, 87.5)]
    lines = [line for line in to_markdown(table).splitlines() if "measured, n = " in line]
    assert len(lines) == 2


def test_only_what_may_differ_may_differ(runs):
    results = runs(summary(), summary(conv="dcd", **OTHER["code"], **OTHER["data"]))
    with pytest.raises(UserError, match=r"these runs differ in data, .* mix=code,data\."):
        build_table("magic_table2", results, Request(mix=frozenset({"code"})))


def test_several_budgets_are_marked_and_named_in_the_heading(runs):
    results = runs(summary(dice=0.75), summary(budget="cpu", dice=0.5, conv="dcd"))
    table = build_table("magic_table2", results, Request(budgets=("full", "cpu"), mix=frozenset({"budget"})))
    assert [cell.mark for cell in cells(table, "UNet") + cells(table, "UNet +DCD")] == ["a", "b"]
    assert "Letters mark runs that differ in more than the seed. a: budget full; b: budget cpu." in str(table.notes)
    assert table.heading.endswith("(runs of several budgets: full, cpu)")


def test_a_letter_for_variants_stands_only_where_they_differ(runs):
    results = runs(summary(), summary(seed=2, variant="9e8d7c6b"), summary(conv="dcd", variant="55555555"))
    table = build_table("magic_table2", results, Request(mix=frozenset({"variant"})))
    assert [cell.mark for cell in cells(table, "UNet") + cells(table, "UNet +DCD")] == ["a", "b", ""]


def test_what_a_recipe_explains_needs_no_letter_of_its_own(runs):
    contents = [summary(conv=conv, variant=f"{conv:8.8}") for conv in ("regular", "dcd")]
    shorter = [
        summary(conv=conv, variant=f"{conv:8.8}2", config=OTHER["recipe"]["config"]) for conv in ("regular", "dcd")
    ]
    table = build_table("magic_table2", runs(*contents, *shorter), Request(mix=frozenset({"recipe"})))
    assert sorted(cell.mark for cell in cells(table, "UNet")) == ["a", "b"]
    assert sorted(cell.mark for cell in cells(table, "UNet +DCD")) == ["a", "b"]


def test_no_letter_without_a_mixture(runs):
    table = build_table("magic_table2", runs(summary(), summary(conv="dcd")), Request(mix=frozenset({"code", "data"})))
    assert [cell.mark for cell in cells(table, "UNet")] == [""]
    assert "Letters" not in str(table.notes)


@pytest.mark.parametrize("what", ["data", "split", "protocol", "recipe"])
def test_numbers_of_different_tests_are_not_ranked_against_each_other(runs, what):
    results = runs(summary(), summary(conv="dyconv", dice=0.8), summary(conv="dcd", dice=0.95, **OTHER[what]))
    table = build_table("magic_table2", results, Request(mix=frozenset({what})))
    ranks = [cells(table, row)[0].rank for row in ("UNet", "UNet +DYConv (4×)", "UNet +DCD")]
    assert ranks == [1, 2, 0]


def test_folds_of_different_seeds_do_not_mix_with_a_single_split(runs):
    single = fold(0) | {"data": {"manifest": "feedbeef" * 8, "split": "official", "missing": []}}
    with pytest.raises(UserError, match=r"split=folds: isic2018/res2net/sgdc \(seed 1\), split=official"):
        build_table("sgdc_table4", runs(fold(0), fold(1), single))


def test_letters_go_on_after_z():
    from magicseg.reports.settings import LETTERS, _letter

    assert [_letter(number) for number in (0, 24, 25, 26, 50)] == ["a", "z", "aa", "ab", "ba"]
    assert len(LETTERS) == len(set(LETTERS)) == 25
