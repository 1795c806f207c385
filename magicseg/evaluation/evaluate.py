"""Label maps and a protocol -> scores of each case, and what is true of all of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from magicseg.data import Case, Preprocessing
from magicseg.data.case import Spacing, load_all
from magicseg.errors import UserError
from magicseg.evaluation.predict import load_prediction
from magicseg.files import csv_text, write_text
from magicseg.metrics import ClassScore, Measurement, Protocol, apply_protocol, measure_case, summarise
from magicseg.metrics.scores import check_unit

Scores = dict[str, dict[str, list[ClassScore]]]
"""role of the protocol -> case -> scores of its classes."""


def check_protocols(cases: Sequence[Case], protocols: Iterable[Protocol]) -> None:
    """Refuse protocols that cannot score the cases, before there is anything to score.

    Raises:
        UserError: names the case and the protocol, and what that one needs.
    """
    for case, protocol in product(cases, protocols):
        if problem := _misfit(case, protocol):
            raise UserError(f"The case {case.name} cannot be scored: {problem}")


def _misfit(case: Case, protocol: Protocol) -> str:
    shape = case.shape if case.shape[0] > 1 else case.shape[1:]  # as _Maps.measured has it
    try:
        check_unit(protocol, shape)
    except ValueError as error:
        return str(error)
    if protocol.instances == "none":
        return ""
    if len(shape) > 2:
        return f"protocol {protocol.name!r} finds instances in images; this is a volume."
    if protocol.true_instances == "given" and case.instances is None:
        return f"protocol {protocol.name!r} asks for the data set's instances (true_instances: given); it has none."
    return ""


def score_cases(
    predictions: Path,
    cases: Sequence[Case],
    root: Path,
    classes: Sequence[str],
    protocols: Mapping[str, Protocol],
    preprocessing: Preprocessing,
    progress: bool = True,
    workers: int = 0,
) -> Scores:
    """Score every stored prediction under every protocol; each case is measured once on each grid.

    Args:
        predictions: folder of ``<case>.npz``.
        cases: cases of the prepared data set in ``root``.
        root: the prepared data set.
        classes: names of the labels 1, 2, ...
        protocols: role ("paper", "strict") -> protocol.
        preprocessing: what brings label maps to the network's grid, for protocols that score there.
        progress: show a progress bar.
        workers: processes that score; 0 scores in this one. Any number gives the same scores.

    Raises:
        UserError: a file is missing or damaged, a label map does not fit its case or protocol, or a process died.
    """
    score = partial(_score_case, predictions, root, tuple(classes), dict(protocols), preprocessing)
    with _mapping(workers) as mapped:
        rows = list(tqdm(mapped(score, cases), "scoring", len(cases), unit="case", disable=not progress))
    return {role: {case.name: row[role] for case, row in zip(cases, rows, strict=True)} for role in protocols}


def _score_case(
    predictions: Path,
    root: Path,
    classes: Sequence[str],
    protocols: Mapping[str, Protocol],
    preprocessing: Preprocessing,
    case: Case,
) -> dict[str, list[ClassScore]]:
    path = predictions / f"{case.name}.npz"
    _, truth, instances = load_all(root, case)
    given = any(protocol.true_instances == "given" for protocol in protocols.values())
    grids = {"original": _Maps(load_prediction(path), truth, instances if given else None)}
    try:
        if any(protocol.grid == "network" for protocol in protocols.values()):
            grids["network"] = grids["original"].resized(preprocessing)
        measured = {
            grid: maps.measured(classes, case.spacing if grid == "original" else None) for grid, maps in grids.items()
        }
        return {role: apply_protocol(measured[protocol.grid], protocol) for role, protocol in protocols.items()}
    except ValueError as error:
        raise UserError(f"{path} cannot be scored: {error}") from error


class _Maps(NamedTuple):
    """Prediction, truth and, if a protocol takes them, true instances of a case, each [D, H, W]."""

    prediction: np.ndarray
    truth: np.ndarray
    instances: np.ndarray | None

    def resized(self, preprocessing: Preprocessing) -> _Maps:
        """Return the maps on the network's grid.

        A prediction that "bilinear" enlarged to the original grid comes back as the network gave it. Under "spline",
        whose samples are aligned at the corners, a few of its labels may differ (224 to 256 x 216 and back: 3 % of
        random ones), as under either method where the original is the smaller grid.
        """

        def nearest(map_: np.ndarray) -> np.ndarray:
            return preprocessing.restore(map_, preprocessing.size)

        instances = None if self.instances is None else _each(nearest, self.instances)
        return _Maps(_each(nearest, self.prediction), _each(preprocessing.label, self.truth), instances)

    def measured(self, classes: Sequence[str], spacing: Spacing | None) -> list[Measurement]:
        """Return what can be measured; a case of one slice is an image [H, W]."""
        if len(self.truth) > 1 or self.prediction.shape != self.truth.shape:
            return measure_case(self.prediction, self.truth, classes, spacing, self.instances)
        instances = None if self.instances is None else self.instances[0]
        return measure_case(self.prediction[0], self.truth[0], classes, spacing and spacing[1:], instances)


def _each(change: Callable[[np.ndarray], np.ndarray], maps: np.ndarray) -> np.ndarray:
    return np.stack([change(each) for each in maps])


@contextmanager
def _mapping(workers: int) -> Iterator[Any]:
    """Yield ``map``, or its like in ``workers`` processes, spawned because forks do not go with threads and CUDA."""
    if workers < 0:
        raise UserError(f"workers is {workers}; allowed are 0 (score in this process) and more.")
    if workers == 0:
        yield map
        return
    try:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            yield pool.map
    except BrokenExecutor as error:
        raise UserError("A process that scored cases died, perhaps for want of memory. Use fewer workers.") from error


def summaries(scores: Scores, protocols: Mapping[str, Protocol]) -> dict[str, Any]:
    """Return role -> summary over all cases: means, deviations, worst case, counts of empty cases."""
    return {role: summarise(scores[role], protocol) for role, protocol in protocols.items()}


def write_cases(path: Path, scores: Scores, subjects: Mapping[str, str]) -> None:
    """Write one row a protocol, case and class: the scores, voxel counts and whether the class was missed or absent.

    ``subjects`` tells the subject of each case: cases of one are no independent evidence.
    """
    rows = [
        {"protocol": role, "case": case, "subject": subjects[case], **_columns(score)}
        for role, by_case in scores.items()
        for case, class_scores in by_case.items()
        for score in class_scores
    ]
    write_text(path, csv_text(rows, dict.fromkeys(column for row in rows for column in row)))


def _columns(score: ClassScore) -> dict[str, Any]:
    columns, quality = asdict(score), score.panoptic
    instances = columns.pop("panoptic")
    if quality is None:
        return columns
    return columns | {"pq": quality.pq} | {f"instances_{name}": number for name, number in instances.items()}


def rank_cases(by_case: Mapping[str, Sequence[ClassScore]]) -> list[str]:
    """Return the names of the cases from the best to the worst mean Dice over their classes."""

    def mean_dice(name: str) -> float:
        present = [score.dice for score in by_case[name] if score.dice == score.dice]
        return sum(present) / len(present) if present else 0.0

    return sorted(by_case, key=lambda name: (-mean_dice(name), name))
