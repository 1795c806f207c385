"""The printed tables are complete, copied without a slip, and every cell leads to a score."""

import re
from decimal import Decimal
from importlib import resources

import pytest
import yaml

from magicseg.errors import UserError
from magicseg.reports.paper_tables import METRICS, RunKey, paper_table, table_names

# rows, columns and the sum of all printed numbers, counted and added independently of the package
TABLES = {
    "magic_table1": (27, 12, "21342.07"),
    "magic_table2": (27, 5, "9766.35"),
    "magic_table3": (18, 3, "3378.98"),
    "magic_table4": (9, 3, "2234.16"),
    "magic_table5": (9, 3, "1149.678"),
    "magic_table6": (8, 8, "4811.026"),
    "magic_table7": (8, 2, "1422.27"),
    "sgdc_table1": (5, 2, "864.07"),
    "sgdc_table2": (5, 4, "1310.27"),
    "sgdc_table3": (5, 3, "1061.06"),
    "sgdc_table4": (4, 3, "789.35"),
    "sgdc_table5": (4, 3, "779.49"),
}


@pytest.fixture(params=TABLES)
def table(request):
    return paper_table(request.param)


def cells(name):
    """Return (row label, column name) -> printed number."""
    table = paper_table(name)
    return {
        (row.label, column.name): float(cell)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    }


def test_there_are_twelve_tables_with_716_cells():
    assert table_names() == list(TABLES)
    assert sum(rows * columns for rows, columns, _ in TABLES.values()) == 716


def test_every_table_is_complete(table):
    rows, columns, total = TABLES[table.name]
    assert (len(table.rows), len(table.columns)) == (rows, columns)
    assert all(len(row.cells) == columns for row in table.rows)
    assert sum(Decimal(cell) for row in table.rows for cell in row.cells) == Decimal(total)


def test_cells_keep_their_printed_decimals(table):
    decimals = {"gflops": "{2,3}"}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            assert re.fullmatch(rf"\d+\.\d{decimals.get(column.metric, '{2}')}", cell)


def test_every_cell_leads_to_its_own_score(table):
    assert {column.metric for column in table.columns} <= set(METRICS)
    scores = [
        (table.key(row, column), column.metric, column.label_class)
        for row in table.rows
        for column in table.columns
        if table.key(row, column)
    ]
    assert len(set(scores)) == len(scores)
    assert len({row.label for row in table.rows}) == len(table.rows)


def test_only_rows_quoted_from_the_literature_have_no_run():
    quoted = {
        row.label
        for name in table_names()
        for row in paper_table(name).rows
        if paper_table(name).key(row, paper_table(name).columns[0]) is None
    }
    assert quoted == {"MSCA (Bi et al., 2016)", "Bi et al. (Bi et al., 2017)", "Lee et al. (Lee et al., 2020)"}


def test_keys_of_some_cells():
    two, six = paper_table("magic_table2"), paper_table("magic_table6")
    assert two.key(two.rows[17], two.columns[0]) == RunKey("acdc", "resnet18", "magic_4x")
    assert two.rows[17].label == "ResNet 18 +Our (4×)"
    assert six.key(six.rows[1], six.columns[7]) == RunKey("glas", "transunet", "magic_4x_drf_sp")
    assert str(six.key(six.rows[7], six.columns[2])) == "acdc/unet/magic_4x"


def test_tables_repeat_each_other_where_the_notes_say_so():
    one, two, three, five, six, seven = (cells(f"magic_table{number}") for number in (1, 2, 3, 5, 6, 7))
    for (label, column), value in five.items():
        if column == "DICE":
            assert value == one[label, "Average DICE"]
    assert [seven[row, "ACDC"] for row in ("B.1 UNet+Our (2×)", "B.7 TransUNet+Our (4×)")] == [
        two["UNet +Our (2×)", "mDice"],
        two["TransUNet +Our (4×)", "mDice"],
    ]
    full = "A.8 (SP, CH, NL)"
    assert six[full, "UNet Synapse"] == one["UNet +Our (4×)", "Average DICE"]
    assert six[full, "TransUNet GlaS"] == three["TransUNet +Our (4×)", "mDice"]
    assert (six[full, "UNet ACDC"], two["UNet +Our (4×)", "mDice"]) == (90.23, 91.67)


@pytest.mark.parametrize(
    ("name", "average", "count"), [("magic_table1", "Average DICE", 11), ("magic_table2", "mDice", 3)]
)
def test_printed_means_differ_from_their_classes_in_the_rows_that_the_notes_count(name, average, count):
    table, printed = paper_table(name), cells(name)
    classes = [column.name for column in table.columns if column.label_class != "mean"]
    rounding = 0.01 + 1e-9  # half a unit of the last digit, for the mean and for the classes
    differing = [
        row.label
        for row in table.rows
        if abs(printed[row.label, average] - sum(printed[row.label, each] for each in classes) / len(classes))
        > rounding
    ]
    assert len(differing) == count
    assert any(f"in {count} rows" in note for note in table.notes)


def test_impossible_pairs_of_dice_and_iou_are_those_of_the_notes():
    def impossible(name, dice, iou):
        printed = cells(name)
        lowest = {
            row.label: printed[row.label, dice] / (2 - printed[row.label, dice] / 100) for row in paper_table(name).rows
        }
        return [label for label, bound in lowest.items() if printed[label, iou] < bound - 0.01]

    assert impossible("magic_table3", "mDice", "mIoU") == ["UNet +DCD", "UNet +Our (2×)", "UNet +Our (4×)"]
    assert impossible("sgdc_table1", "Dice", "IoU") == ["Lee et al. (Lee et al., 2020)"]


def test_every_table_has_notes_and_every_note_belongs_to_tables_of_one_paper():
    notes = yaml.safe_load(resources.files("magicseg.reports").joinpath("paper_tables.yaml").read_text("utf-8"))[
        "notes"
    ]
    for note in notes:
        assert set(note["tables"]) <= set(TABLES)
        assert len({name.split("_")[0] for name in note["tables"]}) == 1
        assert all(note["text"] in paper_table(name).notes for name in note["tables"])
    assert {name for note in notes for name in note["tables"]} == set(TABLES)


def test_unknown_table_names_the_nearest():
    with pytest.raises(UserError, match=r"Unknown table 'magic_tabel2'. Did you mean .*magic_table2"):
        paper_table("magic_tabel2")
