import csv
import dataclasses
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from magicseg.data import Preprocessing, read_prepared
from magicseg.data.case import load_case, write_case
from magicseg.errors import UserError
from magicseg.evaluation import evaluate
from magicseg.evaluation.evaluate import check_protocols, rank_cases, score_cases, summaries, write_cases
from magicseg.evaluation.predict import save_prediction
from magicseg.metrics import PanopticQuality, Protocol, score_case

CLASSES = ("RV", "Myo", "LV")
VIEW = Preprocessing((64, 64))
PAPER = Protocol("transunet", "volume", "voxel", "pooled", "assd", "zero", "zero", "perfect")
STRICT = Protocol("strict", "case", "mm", "pooled", "assd", "skip", "worst", "worst")


@pytest.fixture
def cases(phantom):
    return list(read_prepared("phantom", phantom).cases[:3])


def predict(cases, phantom, folder):
    """A perfect, a shifted and an empty prediction."""
    for case, change in zip(cases, (lambda y: y, lambda y: np.roll(y, 2, 2), np.zeros_like), strict=True):
        save_prediction(folder / f"{case.name}.npz", change(load_case(phantom, case)[1]))


def test_both_protocols_come_from_one_measurement_of_each_volume(cases, phantom, tmp_path):
    predict(cases, phantom, tmp_path)
    scores = score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER, "strict": STRICT}, VIEW, progress=False)
    for role, protocol in (("paper", PAPER), ("strict", STRICT)):
        for case, change in zip(cases, (lambda y: y, lambda y: np.roll(y, 2, 2), np.zeros_like), strict=True):
            truth = load_case(phantom, case)[1]
            assert scores[role][case.name] == score_case(change(truth), truth, CLASSES, protocol, case.spacing)
    assert [score.dice for score in scores["paper"][cases[0].name]] == [1, 1, 1]
    assert rank_cases(scores["paper"]) == [case.name for case in cases]
    result = summaries(scores, {"paper": PAPER, "strict": STRICT})
    assert result["paper"]["mean"]["hd95"] < result["strict"]["mean"]["hd95"]  # the empty prediction costs nothing
    assert result["strict"]["counts"] == {"cases": 3, "absent": 0, "missed": 3, "hallucinated": 0}
    assert (result["paper"]["unit"], result["strict"]["unit"]) == ("voxel", "mm")


def test_cases_are_written_a_row_a_protocol_case_and_class(cases, phantom, tmp_path):
    predict(cases, phantom, tmp_path)
    scores = score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER}, VIEW, progress=False)
    write_cases(tmp_path / "cases.csv", scores, {case.name: case.subject for case in cases})
    rows = list(csv.DictReader((tmp_path / "cases.csv").open()))
    assert [(row["case"], row["subject"]) for row in rows[::3]] == [(case.name, case.subject) for case in cases]
    assert [case.subject for case in cases] == ["phantom01", "phantom01", "phantom02"]
    assert len(rows) == 9
    assert float(rows[3]["dice"]) == scores["paper"][cases[1].name][0].dice
    assert {row["state"] for row in rows} == {"scored", "missed"}


def test_processes_change_no_score(cases, phantom, tmp_path):
    predict(cases, phantom, tmp_path)
    protocols = {"paper": PAPER, "strict": STRICT}
    alone, spawned = (
        score_cases(tmp_path, cases, phantom, list(CLASSES), protocols, VIEW, progress=False, workers=workers)
        for workers in (0, 2)
    )
    assert list(spawned["strict"]) == [case.name for case in cases]
    assert repr(spawned) == repr(alone)  # repr tells -0.0 and nan alike, and shows every digit


def test_an_error_in_a_process_is_the_same_as_without(cases, phantom, tmp_path):
    with pytest.raises(UserError, match=rf"{cases[0].name}\.npz is missing or damaged"):
        score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER}, VIEW, progress=False, workers=1)
    with pytest.raises(UserError, match="workers is -1; allowed are 0"):
        score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER}, VIEW, progress=False, workers=-1)


def test_a_dead_process_is_explained(cases, phantom, tmp_path, monkeypatch):
    class Dying:
        def __init__(self, *_):
            raise BrokenProcessPool("killed")

    monkeypatch.setattr(evaluate, "ProcessPoolExecutor", Dying)
    with pytest.raises(UserError, match=r"A process that scored cases died.*Use fewer workers"):
        score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER}, VIEW, progress=False, workers=1)


def test_a_protocol_that_does_not_fit_the_cases_is_explained(cases, phantom, tmp_path):
    predict(cases, phantom, tmp_path)
    images = dataclasses.replace(PAPER, unit="image")
    with pytest.raises(UserError, match=rf"{cases[0].name}\.npz cannot be scored: .* scores images, arrays of 2 axes"):
        score_cases(tmp_path, cases, phantom, CLASSES, {"paper": images}, VIEW, progress=False)


def test_counts_of_instances_are_columns_where_there_are_any(tmp_path):
    mask = np.eye(4, dtype=int)
    conic = dataclasses.replace(STRICT, unit="image", instances="components_4")
    scores = {
        role: {"image": score_case(mask, mask, ["nucleus"], protocol)}
        for role, protocol in {"paper": conic, "strict": STRICT}.items()
    }
    write_cases(tmp_path / "cases.csv", scores, {"image": "image"})
    first, second = csv.DictReader((tmp_path / "cases.csv").open())
    assert {name: first[name] for name in first if name.startswith("instances")} == {
        "instances_tp": "4",
        "instances_fp": "0",
        "instances_fn": "0",
        "instances_sum_iou": "4.0",
    }
    assert float(first["pq"]) == scores["paper"]["image"][0].panoptic.pq
    assert (second["dice"], second["pq"], second["instances_tp"]) == ("1.0", "", "")
    write_cases(tmp_path / "strict.csv", {"strict": scores["strict"]}, {"image": "image"})
    assert "pq" not in (tmp_path / "strict.csv").read_text()


def test_a_missing_prediction_is_named(cases, phantom, tmp_path):
    with pytest.raises(UserError, match=rf"{cases[0].name}\.npz is missing or damaged"):
        score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER}, VIEW, progress=False)


@pytest.fixture
def nuclei(tmp_path):
    """A prepared image of two touching squares, which are two instances, and its folder."""
    label = np.zeros((1, 8, 12), np.uint8)
    label[0, 2:6, 2:6] = label[0, 2:6, 6:10] = 1
    instances = np.zeros((1, 8, 12), np.uint16)
    instances[0, 2:6, 2:6], instances[0, 2:6, 6:10] = 1, 2
    image = np.zeros((1, 8, 12, 3), np.uint8)
    return tmp_path, write_case(tmp_path, "one", "one", image, label, None, 2, {}, instances=instances), label


def test_an_image_is_scored_in_two_dimensions_and_against_given_instances(nuclei):
    root, case, label = nuclei
    save_prediction(root / "one.npz", label)
    found = dataclasses.replace(STRICT, unit="image", instances="components_4")
    given = dataclasses.replace(found, true_instances="given")
    view = Preprocessing((8, 12), "bilinear")
    scores = score_cases(root, [case], root, ["nucleus"], {"found": found, "given": given}, view, progress=False)
    assert scores["found"]["one"][0].panoptic == PanopticQuality(tp=1, fp=0, fn=0, sum_iou=1.0)
    joined = PanopticQuality(tp=0, fp=1, fn=2, sum_iou=0.0)  # one component for two nuclei: an IoU of one half
    assert scores["given"]["one"][0].panoptic == joined
    alone = score_cases(root, [case], root, ["nucleus"], {"given": given}, view, progress=False)
    assert alone["given"] == scores["given"]
    assert scores["given"]["one"][0].dice == 1


def test_the_networks_grid_is_what_the_network_said(nuclei):
    root, case, label = nuclei
    view = Preprocessing((4, 6), "bilinear")
    small = view.label(label[0])
    small[0, 0] = 1
    save_prediction(root / "one.npz", view.restore(small, (8, 12))[None])
    network = dataclasses.replace(STRICT, unit="image", grid="network")
    scores = score_cases(root, [case], root, ["nucleus"], {"network": network, "strict": STRICT}, view, progress=False)
    size = int(view.label(label[0]).sum())
    assert scores["network"]["one"][0].dice == 2 * size / (2 * size + 1)
    assert scores["strict"]["one"][0].predicted_voxels == 4 * (size + 1)


@pytest.mark.parametrize(("grid", "distance"), [("original", 6), ("network", 3)])
def test_an_image_is_measured_in_mm_on_its_own_grid_and_in_voxels_on_the_networks(tmp_path, grid, distance):
    label, prediction = np.zeros((2, 1, 8, 12), np.uint8)
    label[0, 2, 2] = prediction[0, 2, 5] = 1
    case = write_case(tmp_path, "one", "one", label.astype(np.float32), label, (9.0, 1.0, 2.0), 2, {})
    save_prediction(tmp_path / "one.npz", prediction)
    protocols = {"strict": dataclasses.replace(STRICT, unit="image", grid=grid)}
    view = Preprocessing((8, 12), "bilinear")
    (score,) = score_cases(tmp_path, [case], tmp_path, ["spot"], protocols, view, progress=False)["strict"]["one"]
    assert score.hd95 == distance


def test_a_case_without_any_score_ranks_last():
    label = np.ones((2, 2), int)
    scored, missed, skipped = (
        score_case(prediction, truth, ["spot"], STRICT)
        for prediction, truth in ((label, label), (0 * label, label), (0 * label, 0 * label))
    )
    assert rank_cases({"b": skipped, "a": missed, "c": scored}) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": "image"}, r"Protocol 'strict' scores images, arrays of 2 axes; found shape \(8, 96, 96\)"),
        ({"instances": "watershed"}, r"protocol 'strict' finds instances in images; this is a volume"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused_before_there_are_predictions(cases, changes, message):
    check_protocols(cases, [PAPER, STRICT])
    with pytest.raises(UserError, match=rf"The case {cases[0].name} cannot be scored: {message}"):
        check_protocols(cases, [PAPER, dataclasses.replace(STRICT, **changes)])


def test_given_instances_must_be_there_before_there_are_predictions(nuclei):
    _, case, _ = nuclei
    given = dataclasses.replace(STRICT, instances="components_4", true_instances="given")
    found = dataclasses.replace(given, true_instances="same")
    check_protocols([case], [given])
    check_protocols([dataclasses.replace(case, instances=None)], [found])
    with pytest.raises(UserError, match=r"The case one cannot be scored: protocol 'strict' asks for the data set's in"):
        check_protocols([dataclasses.replace(case, instances=None)], [given])
