"""Which cases train, validate and test: the published splits, by ids or by the rules in splits.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from magicseg.data.case import Case
from magicseg.data.manifest import Manifest
from magicseg.errors import UserError, choose, shortened
from magicseg.seeding import generator

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """The cases of each part, in the order of the split's ids, and what the data set has but the data lacks."""

    train: list[Case]
    val: list[Case]
    test: list[Case]
    missing: list[str]


@cache
def _all_facts() -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load(resources.files("magicseg.data").joinpath("splits.yaml").read_text())
    return facts


def _facts(dataset: str) -> dict[str, Any]:
    facts: dict[str, Any] = _all_facts()[choose("data set", dataset, _all_facts())]
    return facts


def list_splits(dataset: str) -> list[str]:
    """Return the names of a data set's splits."""
    return list(_facts(dataset)["splits"])


def slices_per_subject(dataset: str) -> dict[str, int]:
    """Return how many slices each subject must have, all its cases together; empty where this is not known."""
    facts = _facts(dataset)
    return {facts["subject"].format(number): slices for number, slices in facts.get("slices_per_subject", {}).items()}


def split_cases(manifest: Manifest, dataset: str, split: str, allow_missing: bool = False) -> Split:
    """Return the manifest's cases as the split arranges them; a part that the split does not have is empty.

    Raises:
        UserError: unknown data set or split; the split names cases that the prepared data lacks and ``allow_missing``
            is false; or the prepared data does not tell what the split goes by.
    """
    facts = _facts(dataset)
    rule = facts["splits"][choose(f"split of {dataset}", split, facts["splits"])]
    kind = next(kind for kind in _RULES if kind in rule)
    found = _RULES[kind](manifest, facts, rule)
    if found.missing and not allow_missing:
        raise UserError(
            f"The split {split} of {dataset} names {len(found.missing)} subjects or cases that the prepared data "
            f"lacks: {shortened(found.missing)}. Complete the source and prepare it again, or leave them out: "
            "allow_missing=true."
        )
    if not any((found.train, found.val, found.test)):
        raise UserError(
            f"The split {split} of {dataset} finds no case among the {len(manifest.cases)} prepared ones: it goes by "
            f"{kind}. Splits of {dataset}: {', '.join(facts['splits'])}."
        )
    return found


def _by_subjects(manifest: Manifest, facts: dict[str, Any], rule: dict[str, Any]) -> Split:
    names = {part: [facts["subject"].format(number) for number in rule["subjects"].get(part, [])] for part in PARTS}
    missing = [name for subjects in names.values() for subject in subjects for name in _missing(manifest, subject)]
    cases = {part: [case for name in names[part] for case in manifest.cases if case.subject == name] for part in PARTS}
    return Split(**cases, missing=missing)


def _missing(manifest: Manifest, subject: str) -> list[str]:
    if not any(case.subject == subject for case in manifest.cases):
        return [subject]
    return [name for name in manifest.missing if name.startswith(f"{subject}_")]


def _by_parts(manifest: Manifest, facts: dict[str, Any], rule: dict[str, Any]) -> Split:
    cases = {
        part: [case for case in manifest.cases if case.source.get("part") in rule["parts"].get(part, [])]
        for part in PARTS
    }
    return Split(**cases, missing=list(manifest.missing))


def _by_fold(manifest: Manifest, facts: dict[str, Any], rule: dict[str, Any]) -> Split:
    """Cut the cases that are there, sorted by name, so that ``missing`` ones shift the borders of the pieces."""
    cases = sorted(manifest.cases, key=lambda case: case.name)
    size = len(cases) // rule["of"]
    start = rule["fold"] * size
    test, others = cases[start : start + size], cases[:start] + cases[start + size :]
    size = len(others) // rule["of"]
    return Split(train=others[size:], val=others[:size], test=test, missing=list(manifest.missing))


def _by_ratio(manifest: Manifest, facts: dict[str, Any], rule: dict[str, Any]) -> Split:
    def group(case: Case) -> str:
        return case.subject if rule["of"] == "subject" else case.name

    chosen = _deal(Counter(map(group, manifest.cases)), _targets(len(manifest.cases), rule["ratio"]), rule["seed"])
    cases = {part: [case for case in manifest.cases if chosen[group(case)] == part] for part in PARTS}
    return Split(**cases, missing=list(manifest.missing))


def _deal(sizes: Mapping[str, int], targets: dict[str, int], seed: int) -> dict[str, str]:
    """Return the part of each group by Webster's method: the one with the largest target / (given + half the group).

    Large groups come first, those of the same size in random order. Groups of one case thus meet the targets exactly,
    and unequal ones give parts of similar make-up.
    """
    names, given, chosen = sorted(sizes), dict.fromkeys(PARTS, 0), {}
    generator(seed, "split").shuffle(names)
    for name in sorted(names, key=lambda name: -sizes[name]):
        chosen[name] = max(PARTS, key=lambda part: targets[part] / (given[part] + sizes[name] / 2))
        given[chosen[name]] += sizes[name]
    return chosen


def _targets(count: int, ratio: list[int]) -> dict[str, int]:
    """Return the number of cases of each part; train and val are rounded down."""
    train, val = (count * share // sum(ratio) for share in ratio[:2])
    return {"train": train, "val": val, "test": count - train - val}


_RULES = {"subjects": _by_subjects, "parts": _by_parts, "fold": _by_fold, "ratio": _by_ratio}
