"""Best and second, in the direction of the metric, as the numbers are shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_runs import summary

from magicseg.reports.ranking import place
from magicseg.reports.tables import build_table


@pytest.mark.parametrize(
    ("values", "direction", "places"),
    [
        ([1.0, 3.0, 2.0], "up", [0, 1, 2]),
        ([1.0, 3.0, 2.0], "down", [1, 0, 2]),
        ([3.0, 3.0, 2.0, 2.0, 1.0], "up", [1, 1, 2, 2, 0]),
        ([2.0, 2.0], "up", [0, 0]),
        ([2.0], "up", [0]),
    ],
)
def test_places_by_hand(values, direction, places):
    assert [place(value, values, direction) for value in values] == places


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5).map(float), min_size=2, max_size=8), st.sampled_from(["up", "down"]))
def test_nothing_beats_the_best_and_only_the_best_beats_the_second(values, direction):
    sign = 1 if direction == "up" else -1
    for value in values:
        better = {other for other in values if sign * other > sign * value}
        expected = 0 if len(set(values)) < 2 or len(better) > 1 else len(better) + 1
        assert place(value, values, direction) == expected


def ranks(table, column, which="rank"):
    cells = [(row.label, cell) for row in table.rows for cell in row.cells if cell.column.name == column]
    return {label: getattr(cell, which) for label, cell in cells if getattr(cell, which)}


def test_measured_and_printed_numbers_are_ranked_apart(runs):
    contents = [summary(dice=0.75, hd95=3.0), summary(conv="dcd", dice=0.5, hd95=2.0), summary(conv="dyconv")]
    for content, dice in zip(contents, (0.2, 0.3, 0.1), strict=True):
        content["scores"]["paper"]["classes"]["Myo"] = {"dice": {"mean": dice}}
    results = runs(*contents)
    table = build_table("magic_table2", results)
    assert ranks(table, "mDice") == {"UNet +DYConv (4×)": 1, "UNet": 2}
    assert ranks(table, "Myo") == {"UNet +DCD": 1, "UNet": 2}
    assert ranks(table, "HD95") == {"UNet +DYConv (4×)": 1, "UNet +DCD": 1, "UNet": 2}  # lower is better
    assert ranks(table, "mDice", "printed_rank") == {"UNet +Our (2×)": 1, "TransUNet +Our (1×)": 2}
    assert ranks(table, "HD95", "printed_rank") == {"TransUNet +Our (4×)": 1, "TransUNet +Our (1×)": 2}


def test_numbers_that_look_alike_share_a_rank(runs):
    results = runs(summary(dice=0.90001), summary(conv="dcd", dice=0.90002), summary(conv="dyconv", dice=0.8))
    table = build_table("magic_table2", results)
    assert ranks(table, "mDice") == {"UNet": 1, "UNet +DCD": 1, "UNet +DYConv (4×)": 2}
