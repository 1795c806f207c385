"""Scores case by case, from a run's cases.csv."""

import pytest
from synthetic_runs import summary, write_cases, write_run

from magicseg.errors import UserError
from magicseg.reports.cases import case_scores, case_subjects
from magicseg.reports.paper_tables import paper_table
from magicseg.reports.results import read_result

MEAN, HD95, RV = paper_table("magic_table2").columns[:3]
NAN = float("nan")


@pytest.fixture
def run(tmp_path):
    """Return a function that writes a run with these cases and reads it."""

    def write(cases):
        return read_result(write_run(tmp_path, summary(), cases=cases))

    return write


def test_scores_of_a_class_and_of_the_mean_over_classes_in_printed_units(run):
    result = run({"p1": {"RV": {"dice": 0.5, "hd95": 3.0}, "LV": {"dice": 1.0, "hd95": 4.0}}})
    assert case_scores(result, "paper", RV) == {"p1": 50.0}
    assert case_scores(result, "paper", MEAN) == {"p1": 75.0}
    assert case_scores(result, "transunet", HD95) == {"p1": 3.5}


def test_each_protocol_has_its_own_scores(run):
    result = run({})
    result.path.with_name("cases.csv").write_text(
        "protocol,case,name,dice\npaper,p1,RV,0.25\nstrict,p1,RV,0.5\nstrict,p2,RV,0.75\n"
    )
    assert case_scores(result, "paper", RV) == case_scores(result, "transunet", RV) == {"p1": 25.0}
    assert case_scores(result, "strict", RV) == {"p1": 50.0, "p2": 75.0}


def test_subjects_of_the_cases_where_the_file_names_them(tmp_path):
    cases = {"a_1": {"RV": {}}, "a_2": {"RV": {}}, "b_1": {"RV": {}}}
    subjects = {"a_1": "a", "a_2": "a", "b_1": "b"}
    assert case_subjects(read_result(write_run(tmp_path, summary(), cases=cases, subjects=subjects))) == subjects
    assert case_subjects(read_result(write_run(tmp_path, summary(seed=2), cases=cases))) == {}


def test_what_a_protocol_skips_is_left_out(run):
    result = run({"p1": {"RV": {"dice": NAN}, "LV": {"dice": 1.0}}, "p2": {"RV": {"dice": NAN}, "LV": {"dice": NAN}}})
    assert case_scores(result, "strict", RV) == {"p1": None, "p2": None}
    assert case_scores(result, "strict", MEAN) == {"p1": 100.0, "p2": None}


@pytest.mark.parametrize(
    ("cases", "text"),
    [
        ({"p1": {"LV": {}}}, "has no dice of RV for every case"),
        ({"p1": {"RV": {"dice": "x"}}}, "has no dice of RV for every case .*could not convert"),
        ({"p1": {"RV": {"dice": ""}}}, "has no dice of RV for every case"),
        ({}, "holds no case under protocol paper"),
    ],
)
def test_scores_that_are_not_there_are_named(run, cases, text):
    with pytest.raises(UserError, match=f"cases.csv {text}"):
        case_scores(run(cases), "paper", RV)


@pytest.mark.parametrize("content", [b"", b"case,name\np1,RV\n", b"\xff\xfe\x00", b'protocol,case,name\n"'])
def test_a_file_that_is_no_case_table_is_named(run, content):
    result = run({"p1": {"RV": {}}})
    result.path.with_name("cases.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"cases.csv (cannot be read|holds no case)"):
        case_scores(result, "paper", RV)


def test_a_run_without_cases_and_a_case_that_occurs_twice(run):
    result = run(None)
    with pytest.raises(UserError, match=r"cases.csv cannot be read as the cases of a run \(FileNotFoundError"):
        case_scores(result, "paper", RV)
    path = result.path.with_name("cases.csv")
    write_cases(path, {"p1": {"RV": {}}})
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(UserError, match=r"cases.csv holds RV of case p1 twice"):
        case_scores(result, "paper", RV)
