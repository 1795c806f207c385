"""Tables of all that was run on a data set, without a paper's numbers."""

import pytest
from synthetic_runs import summary, write_run

from magicseg.errors import UserError
from magicseg.reports.markdown import to_markdown
from magicseg.reports.own_rows import own_tables
from magicseg.reports.request import Request
from magicseg.reports.results import load_results
from magicseg.reports.tables import build_table


@pytest.fixture
def results(tmp_path):
    for content in (
        summary(conv="my_conv", dice=0.8, variant="a"),
        summary(conv="my_conv", dice=0.6, variant="a", seed=2),
        summary(backbone="resnet18", conv="regular", dice=0.5, variant="b"),
        summary(dataset="a_folder", backbone="unet", conv="my_conv", variant="c"),
        summary(dataset="a_folder", backbone="unet", conv="regular", budget="cpu", variant="d"),
    ):
        write_run(tmp_path, content)
    return load_results(tmp_path)


def test_each_data_set_has_its_table(results):
    assert own_tables(results) == ["own_a_folder", "own_acdc"]


def test_rows_are_what_was_run_and_columns_what_was_scored(results):
    table = build_table("own_acdc", results)
    assert [row.label for row in table.rows] == ["resnet18 regular", "unet my_conv"]
    scores = ["mDice", "mIoU", "HD95", "ASD", "RV", "Myo", "LV"]
    assert [column.name for column in table.columns] == [*scores, "parameters (M)"]
    dice, *_, parameters = table.rows[1].lines[0]
    assert (dice.mean, dice.std) == (pytest.approx(70.0), pytest.approx(200**0.5))
    assert parameters.mean == pytest.approx(31.04, abs=0.01)


def test_one_class_has_no_column_beside_the_mean(results):
    assert "lesion" not in [column.name for column in build_table("own_a_folder", results).columns]


def test_it_speaks_of_no_paper(results):
    text = to_markdown(build_table("own_acdc", results))
    assert text.startswith("## All that was run on acdc\n")
    assert "Printed numbers" not in text
    assert not [line for line in text.splitlines() if "| paper" in line or "| difference" in line]


def test_runs_of_other_budgets_wait_to_be_asked_for(results):
    assert [
        row.label for row in build_table("own_a_folder", results, Request(budgets=("cpu",))).rows if row.measured
    ] == ["unet regular"]


def test_own_rows_choose(results):
    table = build_table("own_acdc", results, Request(own_rows={"backbone": ["unet"]}))
    assert [row.label for row in table.rows] == ["unet my_conv"]


def test_a_protocol_that_no_run_has_is_refused(results):
    with pytest.raises(UserError, match="Unknown protocol 'conic'"):
        build_table("own_acdc", results, Request(protocol="conic"))
