"""Which subjects train, validate and test: the published splits, as ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from magicseg.data.case import Case
from magicseg.data.manifest import Manifest
from magicseg.errors import UserError, choose


@dataclass(frozen=True)
class Split:
    """The cases of each part, in the order of the split's ids, and what the split names but the data lacks."""

    train: list[Case]
    val: list[Case]
    test: list[Case]
    missing: list[str]


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load(resources.files("magicseg.data").joinpath("splits.yaml").read_text())
    return facts


def list_splits(dataset: str) -> list[str]:
    """Return the names of a data set's splits."""
    return list(_facts()[choose("data set", dataset, _facts())]["splits"])


def slices_per_subject(dataset: str) -> dict[str, int]:
    """Return how many slices each subject must have, all its cases together; empty where this is not known."""
    facts = _facts()[choose("data set", dataset, _facts())]
    return {facts["subject"].format(number): slices for number, slices in facts.get("slices_per_subject", {}).items()}


def split_cases(manifest: Manifest, dataset: str, split: str, allow_missing: bool = False) -> Split:
    """Return the manifest's cases as the published split arranges them.

    Raises:
        UserError: unknown data set or split; or the split names subjects or frames that the prepared data lacks
            and ``allow_missing`` is false.
    """
    facts = _facts()[choose("data set", dataset, _facts())]
    parts = facts["splits"][choose(f"split of {dataset}", split, facts["splits"])]
    subjects = {part: [facts["subject"].format(number) for number in numbers] for part, numbers in parts.items()}
    missing = [name for names in subjects.values() for subject in names for name in _missing(manifest, subject)]
    if missing and not allow_missing:
        raise UserError(
            f"The split {split} of {dataset} names {len(missing)} subjects or frames that the prepared data lacks: "
            f"{', '.join(missing)}. Complete the source and prepare it again, or leave them out: allow_missing=true."
        )
    cases = {
        part: [case for name in names for case in manifest.cases if case.subject == name]
        for part, names in subjects.items()
    }
    return Split(cases["train"], cases["val"], cases["test"], missing)


def _missing(manifest: Manifest, subject: str) -> list[str]:
    if not any(case.subject == subject for case in manifest.cases):
        return [subject]
    return [name for name in manifest.missing if name.startswith(f"{subject}_")]
