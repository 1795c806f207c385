import csv

import numpy as np
import pytest

from magicseg.data import read_prepared
from magicseg.data.case import load_case
from magicseg.errors import UserError
from magicseg.evaluation.evaluate import rank_cases, score_cases, summaries, write_cases
from magicseg.evaluation.predict import save_prediction
from magicseg.metrics import Protocol, score_case

CLASSES = ("RV", "Myo", "LV")
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
    scores = score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER, "strict": STRICT}, progress=False)
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
    scores = score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER}, progress=False)
    write_cases(tmp_path / "cases.csv", scores)
    rows = list(csv.DictReader((tmp_path / "cases.csv").open()))
    assert len(rows) == 9
    assert float(rows[3]["dice"]) == scores["paper"][cases[1].name][0].dice
    assert {row["state"] for row in rows} == {"scored", "missed"}


def test_a_missing_prediction_is_named(cases, phantom, tmp_path):
    with pytest.raises(UserError, match=rf"{cases[0].name}\.npz is missing or damaged"):
        score_cases(tmp_path, cases, phantom, CLASSES, {"paper": PAPER}, progress=False)
