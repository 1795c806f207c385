"""The table of conventions: what is done to the masks, and what each convention makes of it."""

import sys

import numpy as np
import pytest
from command_line import PROJECT, call, configuration

from magicseg.metrics import Protocol, iou, surface_distances
from magicseg.metrics.overlap import Counts

HEART = ["RV", "Myo", "LV"]
TRANSUNET = "HD95 voxels, pooled, empty: 0 (`transunet`)"
SKIPPED = "HD95 voxels, pooled, empty: left out"
STRICT = "HD95 voxels, pooled, empty: diagonal (`strict`)"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(PROJECT / "scripts"))
    import convention_table

    yield convention_table
    sys.path.remove(str(PROJECT / "scripts"))


def heart(height):
    """Three boxes side by side, `height` of six slices thick; the first slice is empty."""
    label = np.zeros((6, 24, 30), np.uint8)
    for index in (1, 2, 3):
        label[1 : 1 + height, 6:16, 8 * index - 6 : 8 * index + 2] = index
    return label


@pytest.fixture(scope="module")
def found(script):
    return script.table({f"case {n}": heart(3 + n % 2) for n in range(10)}, HEART)


def test_a_perfect_prediction_is_perfect_but_where_empty_slices_score_nothing(found):
    for name, row in found.items():
        if name.startswith(("HD95", "ASD")):
            assert row["identity"] == 0, name
        elif name in ("Dice % per slice, both empty: 0", "Dice % per slice, TransUNet's rule"):
            assert row["identity"] == pytest.approx(100 * (3 + 4) / 12), name
        else:
            assert row["identity"] == 100, name


def test_a_dropped_class_helps_costs_nothing_or_costs_most(script, found):
    values = {name: found[name][script.DROPPED] for name in (TRANSUNET, SKIPPED, STRICT)}
    assert values[TRANSUNET] < values[SKIPPED] < values[STRICT]
    diagonal = np.hypot(np.hypot(5, 23), 29)
    assert values[STRICT] - values[TRANSUNET] == pytest.approx(
        diagonal / 10 / 3
    )  # one of ten volumes, of three classes
    assert found[TRANSUNET]["network-like mix"] > 0


def test_a_shift_is_measured_in_pixels_millimetres_and_counts(script, found):
    boxes = [heart(height) == 1 for height in (3, 4)]
    moved = [surface_distances(np.roll(box, (1, 1), (1, 2)), box).asd for box in boxes]
    row = {name: columns["shift 1 px diagonally"] for name, columns in found.items()}
    assert row["ASD voxels, prediction to truth (`asd`)"] == pytest.approx(np.mean(moved))
    assert row["Dice % per volume, `transunet`"] == pytest.approx(100 * 9 * 7 / 80)
    assert row["IoU % of all volumes' voxels together"] == pytest.approx(100 * iou(Counts(63, 17, 17, 0)))
    assert row["HD95 mm at 10 x 1.5 x 1.5, empty: left out"] > row[SKIPPED]


def test_overshooting_slices_costs_nothing_where_an_empty_truth_is_left_out(found):
    assert found["Dice % per slice, truth empty: left out"]["overshoot one slice in z"] == 100
    assert found["Dice % per slice, both empty: left out"]["overshoot one slice in z"] < 100
    rule = found["Dice % per slice, TransUNet's rule"]
    assert rule["overshoot one slice in z"] > rule["identity"]  # it pays for what is not there


def test_the_disturbances_by_hand(script):
    label = np.zeros((3, 5, 7), np.uint8)
    label[1, 1:4, 1:4], label[1, 1:4, 4:6] = 1, 2
    rng = np.random.default_rng(0)
    assert np.argwhere(script.erode(label, rng)).tolist() == [[1, 2, 2]]  # the touching side of both classes is lost
    grown = script.dilate(label, rng)
    assert (grown[label > 0] == label[label > 0]).all()
    assert (grown > 0).sum() - 15 == 5 + 5 + 3 + 3  # four sides, no corners
    assert not grown[[0, 2]].any()
    over = script.overshoot(label, rng)
    assert (over[2] == label[1]).all()
    assert not over[0].any()
    assert np.array_equal(script.overshoot(label[:2], rng)[0], label[1])  # no slice above: one below
    assert np.unique(script.without(label, 1)).tolist() == [0, 2]


def test_the_choices_are_the_same_every_time(script):
    truths = {f"case {n}": heart(4) for n in range(20)}
    assert script.drawn_tenth(list(truths)) == script.drawn_tenth(list(truths))
    assert len(set(script.drawn_tenth(list(truths)))) == 2
    first, second = (script.mix(heart(4), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_table_is_markdown(script, found):
    head, line, *rows = script.markdown(found)
    assert head.count("|") == line.count("|") == len(script.DISTURBANCES) + 2
    assert len(rows) == len(script.CONVENTIONS)
    assert rows[0].startswith("| Dice % per volume, `transunet` | 100.00 |")


def test_the_documentation_has_this_table_and_every_protocol(script, found):
    text = (PROJECT / "docs" / "metrics.md").read_text()
    head, line, *rows = script.markdown(found)
    assert f"{head}\n{line}\n" in text
    table = text.split(line)[1].strip().splitlines()[: len(rows)]
    assert [row.split("|")[1] for row in table] == [row.split("|")[1] for row in rows]
    names = {path.stem for path in (PROJECT / "configs" / "protocol").glob("*.yaml")} - {"paper"}
    assert not {name for name in names if f"\n| `{name}` | " not in text}


def test_a_folder_without_data_is_explained(tmp_path):
    done = call("scripts/convention_table.py", f"root={tmp_path}")
    assert done.returncode == 1
    assert str(tmp_path) in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name", ["mtunet", "ssl4mis", "cascade", "transfuse", "uctransnet", "cto", "cto_plain", "conic", "strict"]
)
def test_a_protocol_is_chosen_by_name_on_the_command_line(name):
    chosen = configuration(f"protocol={name}").protocol
    assert Protocol(**dict(chosen)).name == name
    assert chosen.selection == "best_validation_dice"
