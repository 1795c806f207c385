"""The scores of each case of a run, as its cases.csv holds them: what paired comparisons are made of."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from statistics import fmean

from magicseg.errors import UserError
from magicseg.reports.paper_tables import METRICS, Column
from magicseg.reports.results import Result
from magicseg.runs import RunFolder

Classes = Mapping[str, Mapping[str, str]]
"""class -> column -> text, of one case."""


def case_scores(result: Result, protocol: str, column: Column) -> dict[str, float | None]:
    """Return case -> score in printed units; None for a case that the protocol leaves out.

    A column of class means takes the mean over the classes that are scored in the case.

    Raises:
        UserError: cases.csv is missing or damaged, or holds no such score.
    """
    path = _file(result)
    role = result.role(protocol) or protocol
    cases = {case: classes for (stored, case), classes in _cases(path).items() if stored == role}
    if not cases:
        raise UserError(f"{path} holds no case under protocol {role}.")
    try:
        return {case: _score(classes, column) for case, classes in cases.items()}
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} has no {column.metric} of {column.label_class} for every case ({error}).") from error


def case_subjects(result: Result) -> dict[str, str]:
    """Return case -> subject; empty for a run that was scored before cases.csv named subjects.

    Raises:
        UserError: cases.csv is missing or damaged.
    """
    records = {case: next(iter(classes.values())) for (_, case), classes in _cases(_file(result)).items()}
    return {case: record["subject"] for case, record in records.items() if record.get("subject")}


def _file(result: Result) -> Path:
    return RunFolder(result.path.parent).cases


def _score(classes: Classes, column: Column) -> float | None:
    wanted = classes.values() if column.label_class == "mean" else [classes[column.label_class]]
    values = [float(record[column.metric]) for record in wanted]
    present = [value for value in values if not math.isnan(value)]
    return METRICS[column.metric].scale * fmean(present) if present else None


@lru_cache(maxsize=64)
def _cases(path: Path) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    cases: dict[tuple[str, str], dict[str, dict[str, str]]] = defaultdict(dict)
    try:
        with path.open(newline="") as file:
            for record in csv.DictReader(file, restval="", strict=True):
                classes = cases[record["protocol"], record["case"]]
                if record["name"] in classes:
                    raise UserError(f"{path} holds {record['name']} of case {record['case']} twice.")
                classes[record["name"]] = record
    except (OSError, csv.Error, KeyError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as the cases of a run ({error!r}).") from error
    return dict(cases)
