"""Scores under both protocols: the published per-case rules, empty masks, units, order of cases, wrong input."""

import dataclasses
import itertools
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import yaml
from golden_metrics import golden_cases

from magicseg.metrics import (
    METRICS,
    Protocol,
    SegmentationScores,
    apply_protocol,
    measure_case,
    score_case,
    summarise,
    surface_distances,
)
from magicseg.metrics.surface import Borders

FOLDER = Path(__file__).parents[2] / "configs" / "protocol"
TRANSUNET, STRICT = (
    Protocol(**yaml.safe_load((FOLDER / f"{name}.yaml").read_text())) for name in ("transunet", "strict")
)
VOXEL = dataclasses.replace(TRANSUNET, unit="case")  # TransUNet's rule for masks of any number of axes
HEART = ["RV", "Myo", "LV"]


def square(*corner, size=4, shape=(12, 16)):
    mask = np.zeros(shape, int)
    mask[tuple(slice(start, start + size) for start in corner)] = 1
    return mask


EMPTY = np.zeros((12, 16), int)


# Published rules


@pytest.mark.parametrize("case", golden_cases("binary"))
def test_transunet_rule_of_binary_cases(case):
    (score,) = score_case(case.prediction, case.truth, ["object"], VOXEL, case.spacing)
    expected = case.expected["TransUNet calculate_metric_percase"]
    assert (score.dice, score.hd95) == (expected["dice"], expected["hd95_no_spacing"])
    assert score.unit == "voxel"


@pytest.mark.parametrize("case", golden_cases("multiclass"))
def test_transunet_rule_of_multi_class_cases(case):
    classes = [f"class {label}" for label in range(1, case.n_classes + 1)]
    scores = score_case(case.prediction, case.truth, classes, VOXEL, case.spacing)
    expected = case.expected["TransUNet test_single_volume"]
    assert [[score.dice, score.hd95] for score in scores] == expected["per_class_dice_hd95"]
    mean = summarise({"case": scores}, VOXEL)["mean"]
    assert mean["dice"] == pytest.approx(expected["mean_dice"], rel=1e-12)
    assert mean["hd95"] == pytest.approx(expected["mean_hd95"], rel=1e-12)


# Empty masks

CASES = {"absent": (EMPTY, EMPTY), "missed": (EMPTY, square(2, 3)), "hallucinated": (square(2, 3), EMPTY)}


@pytest.mark.parametrize(
    ("state", "expected"),
    [("absent", (0, 0, 0, 0)), ("missed", (0, 0, 0, 0)), ("hallucinated", (1, 1, 0, 0))],
)
def test_empty_masks_under_transunet(state, expected):
    (score,) = score_case(*CASES[state], ["object"], VOXEL)
    assert score.state == state
    assert (score.dice, score.iou, score.hd95, score.asd) == expected


@pytest.mark.parametrize("state", ["missed", "hallucinated"])
@pytest.mark.parametrize(("spacing", "diagonal"), [(None, math.hypot(11, 15)), ((2.0, 0.5), math.hypot(22, 7.5))])
def test_errors_cost_the_diagonal_under_strict(state, spacing, diagonal):
    (score,) = score_case(*CASES[state], ["object"], STRICT, spacing)
    assert score.state == state
    assert (score.dice, score.iou, score.hd95, score.asd) == (0, 0, diagonal, diagonal)
    assert score.unit == ("mm" if spacing else "voxel")
    (score,) = score_case(*CASES[state], ["object"], dataclasses.replace(STRICT, spacing="voxel"), spacing)
    assert (score.hd95, score.unit) == (math.hypot(11, 15), "voxel")


def test_absent_is_left_out_and_counted_under_strict():
    (score,) = score_case(*CASES["absent"], ["object"], STRICT)
    assert all(math.isnan(getattr(score, metric)) for metric in METRICS)
    summary = summarise({"case": [score]}, STRICT)
    assert summary["classes"]["object"]["dice"] == {"mean": None, "std": None, "median": None, "worst": None, "n": 0}
    assert summary["mean"] == dict.fromkeys(METRICS)
    assert summary["counts"] == {"cases": 1, "absent": 1, "missed": 0, "hallucinated": 0}


def test_no_real_error_is_worse_than_the_worst():
    corners = square(0, 0, size=1), square(11, 15, size=1)
    (far,) = score_case(*corners, ["object"], STRICT, (2.0, 0.5))
    (missed,) = score_case(*CASES["missed"], ["object"], STRICT, (2.0, 0.5))
    assert far.hd95 == far.asd == missed.hd95


def test_accuracy_is_measured_whatever_the_rule():
    for protocol, state in itertools.product((VOXEL, STRICT), ("missed", "hallucinated")):
        (score,) = score_case(*CASES[state], ["object"], protocol)
        assert score.accuracy == (12 * 16 - 16) / (12 * 16)


# Distances and units


@pytest.mark.parametrize("hd95", ["pooled", "max"])
@pytest.mark.parametrize("asd", ["asd", "asd_reversed", "assd", "assd_mean"])
@pytest.mark.parametrize("spacing", ["voxel", "mm"])
def test_a_protocol_chooses_the_distances(hd95, asd, spacing):
    prediction, truth = square(1, 1), square(3, 6, size=7)
    protocol = dataclasses.replace(STRICT, hd95=hd95, asd=asd, spacing=spacing)
    (score,) = score_case(prediction, truth, ["object"], protocol, (3.0, 0.5))
    found = surface_distances(prediction, truth, (3.0, 0.5) if spacing == "mm" else None)
    assert score.hd95 == (found.hd95 if hd95 == "pooled" else found.hd95_max)
    assert score.asd == getattr(found, asd)
    assert (score.predicted_voxels, score.true_voxels, score.unit) == (16, 49, spacing)


def test_millimetres_without_spacing_are_voxels_and_said_so():
    pair = square(1, 1), square(1, 3)
    (score,) = score_case(*pair, ["object"], STRICT)
    assert (score.unit, score.hd95) == ("voxel", surface_distances(*pair).hd95)
    assert summarise({"case": [score]}, STRICT)["unit"] == "voxel"


def test_units_are_never_mixed():
    scores = SegmentationScores(["object"], STRICT)
    scores.update(square(1, 1), square(1, 3), (2, 2), "with")
    scores.update(square(1, 1), square(1, 3), None, "without")
    with pytest.raises(
        ValueError, match="'without' has its distances not in mm as 'with'; give all cases a spacing, or none"
    ):
        scores.compute()


def test_distances_are_computed_once_for_both_protocols(monkeypatch):
    calls = []
    compute = Borders.distances
    monkeypatch.setattr(Borders, "distances", lambda self, *spacing: calls.append(spacing) or compute(self, *spacing))
    measured = measure_case(square(1, 1), square(1, 3), ["object"], (2.0, 2.0))
    assert calls == []
    in_mm = dataclasses.replace(TRANSUNET, unit="case", spacing="mm")
    for protocol in (VOXEL, STRICT, VOXEL, STRICT, in_mm):
        apply_protocol(measured, protocol)
    assert calls == [(), ((2.0, 2.0),)]
    assert apply_protocol(measured, STRICT) == score_case(square(1, 1), square(1, 3), ["object"], STRICT, (2, 2))


# Summaries


def random_scores(protocol, n=40, spacing=None):
    rng = np.random.default_rng(0)
    scores = SegmentationScores(HEART, protocol)
    for index in range(n):
        truth = rng.integers(0, 4, (3, 9, 8)) * (rng.random((3, 9, 8)) < 0.5)
        prediction = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 4, truth.shape))
        if index % 5 == 0:
            prediction[prediction == 1] = 0
        if index % 7 == 0:
            truth[truth == 3] = 0
        if index % 14 == 0:
            prediction[prediction == 3] = 0
        scores.update(prediction, truth, spacing, f"case {index}")
    return scores


@pytest.mark.parametrize("protocol", [TRANSUNET, STRICT], ids=lambda protocol: protocol.name)
def test_the_order_of_cases_does_not_matter(protocol):
    cases = random_scores(protocol, spacing=(2.5, 0.7, 0.7)).cases
    first = json.dumps(summarise(cases, protocol))
    for seed in range(5):
        names = list(cases)
        random.Random(seed).shuffle(names)
        assert json.dumps(summarise({name: cases[name] for name in names}, protocol)) == first


@pytest.mark.parametrize("protocol", [TRANSUNET, STRICT], ids=lambda protocol: protocol.name)
def test_statistics_equal_numpy(protocol):
    scores = random_scores(protocol)
    summary = scores.compute()
    for position, name in enumerate(HEART):
        column = [case[position] for case in scores.cases.values()]
        for metric, worst in METRICS.items():
            values = [getattr(score, metric) for score in column if getattr(protocol, score.state, "") != "skip"]
            found = summary["classes"][name][metric]
            assert found["n"] == len(values)
            assert found["mean"] == pytest.approx(np.mean(values), rel=1e-12)
            assert found["std"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
            assert (found["median"], found["worst"]) == (np.median(values), worst(values))
    for metric in METRICS:
        means = [summary["classes"][name][metric]["mean"] for name in HEART]
        assert summary["mean"][metric] == pytest.approx(np.mean(means), rel=1e-12)
    states = [score.state for case in scores.cases.values() for score in case]
    assert summary["counts"] == {"cases": 40} | {s: states.count(s) for s in ("absent", "missed", "hallucinated")}
    assert min(summary["counts"].values()) > 0


def test_summary_is_json_and_names_its_protocol():
    summary = random_scores(STRICT, spacing=(2, 1, 1)).compute()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert Protocol(**summary["protocol"]) == STRICT
    assert list(summary) == ["protocol", "unit", "classes", "mean", "counts"]
    assert list(summary["classes"]) == HEART


def test_one_class_without_cases_leaves_the_mean_of_the_others():
    truth = np.array([[1, 1, 0], [2, 2, 0]])
    prediction = np.array([[1, 0, 0], [2, 2, 0]])
    summary = summarise({"case": score_case(prediction, truth, HEART, STRICT)}, STRICT)
    assert summary["classes"]["LV"]["dice"]["n"] == 0
    assert summary["mean"]["dice"] == (2 / 3 + 1) / 2
    assert summary["classes"]["RV"]["dice"]["std"] is None


def test_two_cases_suffice_for_a_deviation():
    cases = {"found": (square(1, 1), square(1, 1)), "missed": CASES["missed"]}
    summary = summarise({name: score_case(*pair, ["object"], STRICT) for name, pair in cases.items()}, STRICT)
    expected = {"mean": 0.5, "std": math.sqrt(0.5), "median": 0.5, "worst": 0, "n": 2}
    assert summary["classes"]["object"]["dice"] == expected


def test_an_unexpected_nan_is_an_error():
    (score,) = score_case(square(1, 1), square(1, 3), ["object"], STRICT)
    with pytest.raises(ValueError, match="A score of hd95 is nan, and the protocol does not skip it"):
        summarise({"case": [dataclasses.replace(score, hd95=math.nan)]}, STRICT)


def test_scores_of_another_protocol_are_not_skipped_silently():
    """Absent classes scored by strict are nan; under TransUNet's rules they would have to count."""
    scores = score_case(*CASES["absent"], ["object"], STRICT)
    with pytest.raises(ValueError, match="A score of dice is nan"):
        summarise({"case": scores}, VOXEL)


def test_cases_with_other_classes_are_refused():
    pair = square(1, 1), square(1, 3)
    one, other = (score_case(*pair, [name], STRICT) for name in ("liver", "spleen"))
    with pytest.raises(ValueError, match=r"'b' has the classes \['spleen'\], 'a' has \['liver'\]"):
        summarise({"a": one, "b": other}, STRICT)
    with pytest.raises(ValueError, match="There is no case to summarise"):
        summarise({}, STRICT)


# Streaming


def test_streaming_equals_all_at_once():
    scores = random_scores(STRICT, n=6)
    assert scores.compute() == summarise(scores.cases, STRICT)
    scores.reset()
    assert scores.cases == {}
    with pytest.raises(ValueError, match="There is no case"):
        scores.compute()


def test_unnamed_cases_are_numbered_and_named_ones_count_once():
    scores = SegmentationScores(["object"], STRICT)
    for _ in range(2):
        scores.update(square(1, 1), square(1, 3))
    assert list(scores.cases) == ["0", "1"]
    with pytest.raises(ValueError, match="The case '1' was scored before"):
        scores.update(square(1, 1), square(1, 3), case="1")


def test_an_unnamed_case_takes_the_next_free_number():
    scores = SegmentationScores(["object"], STRICT)
    for case in ("1", None, None, "5", None):
        scores.update(square(1, 1), square(1, 3), case=case)
    assert list(scores.cases) == ["1", "2", "3", "5", "4"]
    slices = SegmentationScores(["object"], dataclasses.replace(STRICT, unit="slice"))
    for case in ("1", None):
        slices.update(square(1, 1)[None], square(1, 3)[None], case=case)
    assert list(slices.cases) == ["1/0", "2/0"]


def test_slices_of_a_volume_are_cases_of_their_own():
    protocol = dataclasses.replace(STRICT, unit="slice")
    prediction, truth = np.stack([square(1, 1), EMPTY, EMPTY]), np.stack([square(1, 3), square(2, 2), EMPTY])
    scores = SegmentationScores(["object"], protocol)
    scores.update(prediction, truth, (10.0, 2.0, 0.5), "patient")
    assert list(scores.cases) == ["patient/0", "patient/1", "patient/2"]
    assert scores.cases["patient/0"] == score_case(prediction[0], truth[0], ["object"], protocol, (2.0, 0.5))
    assert scores.compute()["counts"] == {"cases": 3, "absent": 1, "missed": 1, "hallucinated": 0}


@pytest.mark.parametrize(("unit", "axes"), [("volume", 3), ("slice", 2), ("image", 2)])
def test_a_case_of_another_kind_is_refused(unit, axes):
    wrong = np.ones((4,) * (5 - axes), int)
    with pytest.raises(ValueError, match=f"Protocol 'strict' scores {unit}s, arrays of {axes} axes; found shape"):
        score_case(wrong, wrong, ["object"], dataclasses.replace(STRICT, unit=unit))


# Wrong input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": np.zeros((12, 15), int)}, "both need the same shape"),
        ({"prediction": square(1, 1) * 0.5}, "prediction must hold whole numbers"),
        ({"truth": np.full((12, 16), np.nan)}, "truth must hold whole numbers .* found NaN"),
        ({"prediction": square(1, 1) * 2}, r"prediction holds the label 2; allowed are 0 \(background\) to 1"),
        ({"truth": -square(1, 1)}, "truth holds the label -1"),
        ({"spacing": (1.0, -2.0)}, "must hold positive finite numbers"),
        ({"spacing": (1.0, 0.0)}, "must hold positive finite numbers"),
        ({"spacing": (1.0, 1.0, 1.0)}, "has 3 values for arrays of 2 axes"),
        ({"classes": []}, r"classes is \[\]; name each of the labels 1, 2, ... once"),
        ({"classes": ["liver", "liver"]}, r"classes is \['liver', 'liver'\]"),
    ],
)
def test_wrong_input_is_named(change, message):
    arguments = {"prediction": square(1, 1), "truth": square(1, 3), "classes": ["object"], "protocol": STRICT}
    with pytest.raises(ValueError, match=message):
        score_case(**(arguments | change))
