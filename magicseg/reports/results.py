"""The scores of finished runs, read from their folders: the only thing that comparison tables are made of."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicseg.errors import UserError
from magicseg.files import read_json
from magicseg.metrics import Protocol
from magicseg.reports.paper_tables import METRICS, RunKey
from magicseg.reports.recipes import read_training
from magicseg.runs import RunFolder, find_folders

BUDGETS = ("full", "cpu", "demo")
EMPTY = ("absent", "missed", "hallucinated")
FOLDS = 5
"""Folds of a cross-validated experiment; its runs have the splits fold0 to fold4."""
FOLD = re.compile(r"fold\d+", re.ASCII)


@dataclass(frozen=True)
class Scores:
    """Scores of a run under one protocol, as stored: overlaps are fractions, distances are in ``unit``.

    ``classes`` holds each class's mean over cases, ``mean`` the mean over classes; None where nothing could be scored.
    ``empty`` counts the pairs of class and case with an empty mask: absent, missed, hallucinated.
    """

    protocol: Protocol
    unit: str
    classes: Mapping[str, Mapping[str, float | None]]
    mean: Mapping[str, float | None]
    empty: Mapping[str, int]


@dataclass(frozen=True)
class Result:
    """A finished run: which one, its scores by protocol, and everything that its numbers depend on.

    ``code`` is a hash of the sources that can change a number, ``commit`` the commit they were at: those of all
    sessions of the training joined by "+", and behind a "/" those that scored it, if they are others. ``variant`` tells
    configurations apart; the folds of one experiment share theirs. ``recipe`` and ``network`` tell apart what they
    have beside the convolution.
    """

    path: Path
    key: RunKey
    seed: int
    variant: str
    recipe: str
    network: str
    budget: str
    scores: Mapping[str, Scores]
    checkpoint: str
    manifest: str
    split: str
    missing: tuple[str, ...]
    parameters: int
    seconds: float
    code: str
    commit: str
    device: str

    @property
    def fold(self) -> int | None:
        """Which fold of a cross-validation this run is; None for a run that is an experiment of its own."""
        return int(self.split.removeprefix("fold")) if FOLD.fullmatch(self.split) else None

    def role(self, protocol: str) -> str | None:
        """Return under which role a protocol's scores are stored; ``protocol`` is a role (paper) or a name (transunet).

        None where the run was not scored under it.
        """
        if protocol in self.scores:
            return protocol
        return next((role for role, scores in self.scores.items() if scores.protocol.name == protocol), None)

    def under(self, protocol: str) -> Scores:
        """Return the scores under a protocol; KeyError where the run has none."""
        return self.scores[self.role(protocol) or protocol]

    def value(self, protocol: str, metric: str, label_class: str) -> float | None:
        """Return a score in printed units (percent, voxels, millions); None where the run has no such score.

        Raises:
            UserError: the run knows no class of this name.
        """
        if metric == "parameters":
            return self.parameters * METRICS[metric].scale
        scores = self.under(protocol)
        if label_class != "mean" and label_class not in scores.classes:
            found = ", ".join(scores.classes)
            raise UserError(f"{self.path} has no class {label_class!r}, which the table asks for. It has: {found}.")
        stored = (scores.mean if label_class == "mean" else scores.classes[label_class]).get(metric)
        return None if stored is None else stored * METRICS[metric].scale


def load_results(outputs: Path, report: Callable[[str], object] = warnings.warn) -> list[Result]:
    """Return all finished runs below ``outputs``, ordered by path.

    A run that cannot be read does not hide the others: it is left out, and ``report`` is called with a sentence that
    names its file.

    Raises:
        UserError: ``outputs`` is not a folder.
    """
    results = []
    for folder in find_folders(outputs, "summary.json"):
        try:
            results.append(read_result(folder.summary))
        except UserError as error:
            report(f"Left out: {error}")
    return results


def read_result(path: Path) -> Result:
    """Return the run that a ``summary.json`` describes.

    Raises:
        UserError: the run is not marked as finished, or its summary is malformed; the text names file and key.
    """
    status = RunFolder(path.parent).status()
    if status["state"] != "finished":
        raise UserError(f"{path} belongs to a run that is not finished: {path.with_name('status.json')} says {status}.")
    try:
        return _result(path, read_json(path))
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path} is not the summary of a run: {error}.") from error


def _result(path: Path, content: Any) -> Result:
    protocols = _take(content, dict, "scores")
    split = _take(content, str, "data", "split")
    missing = _take(content, list, "data", "missing")
    training = read_training(RunFolder(path.parent).config)
    return Result(
        path=path,
        key=RunKey(*(_take(content, str, name) for name in RunKey._fields)),
        seed=_take(content, int, "seed"),
        variant=f"folds-{training.experiment}" if FOLD.fullmatch(split) else _take(content, str, "variant"),
        recipe=training.recipe,
        network=training.network,
        budget=_budget(content),
        scores={name: _scores(content, name) for name in protocols},
        checkpoint=_take(content, str, "checkpoint", "rule"),
        manifest=_take(content, str, "data", "manifest"),
        split=split,
        missing=tuple(str(case) for case in missing),
        parameters=_take(content, int, "parameters"),
        seconds=_take(content, (int, float), "seconds"),
        **_origin(content),
    )


def _scores(content: Any, name: str) -> Scores:
    classes = _take(content, dict, "scores", name, "classes")
    return Scores(
        protocol=_protocol(_take(content, dict, "scores", name, "protocol"), name),
        unit=_take(content, str, "scores", name, "unit"),
        classes={
            label_class: {
                metric: _number(content, metric, "scores", name, "classes", label_class, metric, "mean")
                for metric in _take(content, dict, "scores", name, "classes", label_class)
            }
            for label_class in classes
        },
        mean={
            metric: _number(content, metric, "scores", name, "mean", metric)
            for metric in _take(content, dict, "scores", name, "mean")
        },
        empty={state: _take(content, int, "scores", name, "counts", state) for state in EMPTY},
    )


def _protocol(fields: Mapping[str, Any], name: str) -> Protocol:
    try:
        return Protocol(**fields)
    except TypeError as error:
        raise ValueError(f"scores.{name}.protocol has other fields than a protocol ({error})") from error


def _number(content: Any, metric: str, *keys: str) -> float | None:
    number = _take(content, (int, float, type(None)), *keys)
    if number is not None and not math.isfinite(number):
        raise ValueError(f"{'.'.join(keys)} is {number}, allowed are numbers and null")
    fraction = metric in METRICS and METRICS[metric].unit == "percent"
    if fraction and number is not None and not 0 <= number <= 1:
        raise ValueError(f"{'.'.join(keys)} is {number}, allowed are fractions from 0 to 1")
    return number


def _take(content: Any, kind: type | tuple[type, ...], *keys: str) -> Any:
    """Return ``content[keys[0]][keys[1]]...``, which must be there and of a ``kind``."""
    found = content
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            raise ValueError(f"{'.'.join(keys)} is missing")
        found = found[key]
    if not isinstance(found, kind) or isinstance(found, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise ValueError(f"{'.'.join(keys)} is {found!r}, allowed is {' or '.join(each.__name__ for each in kinds)}")
    return found


def _budget(content: Any) -> str:
    budget = _take(content, str, "budget")
    if budget not in BUDGETS:
        raise ValueError(f"budget is {budget!r}, allowed are {', '.join(BUDGETS)}")
    return budget


def _origin(content: Any) -> dict[str, str]:
    """Return code, commit and device of all sessions, code and commit with those of the scoring where they differ."""
    earlier = _take(content, list, "provenance", "earlier") if "earlier" in _take(content, dict, "provenance") else []
    sessions = [_sources({"provenance.earlier": each}, "provenance.earlier") for each in earlier]
    sessions.append(_sources(content, "provenance"))
    code, commit = ("+".join(dict.fromkeys(values)) for values in zip(*sessions, strict=True))
    scored = _sources(content, "scored") if "scored" in content else sessions[-1]  # once the scoring was not recorded
    if scored[0] != sessions[-1][0]:
        code, commit = f"{code}/{scored[0]}", f"{commit}/{scored[1]}"
    devices = [_take({"provenance": each}, str, "provenance", "device") for each in (*earlier, content["provenance"])]
    return {"code": code, "commit": commit, "device": " + ".join(dict.fromkeys(devices))}


def _sources(content: Any, key: str) -> tuple[str, str]:
    """Return the code and the commit of a session or a scoring."""
    return _take(content, str, key, "code")[:10], _commit(_take(content, dict, key, "git"))


def _commit(git: Mapping[str, Any]) -> str:
    """Return the commit's first ten digits, with "-dirty" where the code was changed after it, as git describe does."""
    commit = str(git.get("commit") or "unknown")[:10]
    return f"{commit}-dirty" if git.get("dirty") else commit
