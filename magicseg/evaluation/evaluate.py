"""Label maps and a protocol -> scores of each case, and what is true of all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from magicseg.data import Case, load_case
from magicseg.evaluation.predict import load_prediction
from magicseg.files import write_text
from magicseg.metrics import ClassScore, Protocol, apply_protocol, measure_case, summarise

Scores = dict[str, dict[str, list[ClassScore]]]
"""role of the protocol -> case -> scores of its classes."""


def score_cases(
    predictions: Path,
    cases: Sequence[Case],
    root: Path,
    classes: Sequence[str],
    protocols: Mapping[str, Protocol],
    progress: bool = True,
) -> Scores:
    """Score every stored prediction under every protocol; each volume is measured once.

    Args:
        predictions: folder of ``<case>.npz``.
        cases: cases of the prepared data set in ``root``.
        root: the prepared data set.
        classes: names of the labels 1, 2, ...
        protocols: role ("paper", "strict") -> protocol.
        progress: show a progress bar.
    """
    scores: Scores = {role: {} for role in protocols}
    for case in tqdm(cases, desc="scoring", unit="case", disable=not progress):
        _, truth = load_case(root, case)
        measured = measure_case(load_prediction(predictions / f"{case.name}.npz"), truth, classes, case.spacing)
        for role, protocol in protocols.items():
            scores[role][case.name] = apply_protocol(measured, protocol)
    return scores


def summaries(scores: Scores, protocols: Mapping[str, Protocol]) -> dict[str, Any]:
    """Return role -> summary over all cases: means, deviations, worst case, counts of empty cases."""
    return {role: summarise(scores[role], protocol) for role, protocol in protocols.items()}


def write_cases(path: Path, scores: Scores) -> None:
    """Write one row a protocol, case and class: the scores, voxel counts and whether the class was missed or absent."""
    rows = [
        {"protocol": role, "case": case, **asdict(score)}
        for role, by_case in scores.items()
        for case, class_scores in by_case.items()
        for score in class_scores
    ]
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def rank_cases(by_case: Mapping[str, Sequence[ClassScore]]) -> list[str]:
    """Return the names of the cases from the best to the worst mean Dice over their classes."""

    def mean_dice(name: str) -> float:
        present = [score.dice for score in by_case[name] if score.dice == score.dice]
        return sum(present) / len(present) if present else 0.0

    return sorted(by_case, key=lambda name: (-mean_dice(name), name))
