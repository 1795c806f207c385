"""Which finished runs a figure shows, and under what names."""

from __future__ import annotations

import glob
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from magicseg.errors import UserError
from magicseg.reports.paper_tables import RunKey
from magicseg.reports.recipes import not_as_shipped
from magicseg.reports.request import Request
from magicseg.reports.results import Result, load_results
from magicseg.reports.selection import group_runs
from magicseg.reports.settings import Group, marked

SIZES = {"cpu": "CPU-sized runs, not the papers' training", "demo": "Demonstration runs, not the papers' training"}


def find_runs(patterns: str, report: Callable[[str], object]) -> list[Result]:
    """Return the finished runs that ``patterns`` names, in that order; those of one pattern by name, baseline first.

    Args:
        patterns: run folders or folders above them, with commas; ``*`` and ``**`` stand for names of folders.
        report: called with a sentence for each run that cannot be read or is not finished.

    Raises:
        UserError: a pattern fits no folder, or nothing below the folders is a finished run.
    """
    runs: dict[Path, Result] = {}
    for pattern in patterns.split(","):
        folders = [Path(path) for path in sorted(glob.glob(pattern.strip(), recursive=True)) if Path(path).is_dir()]
        if not folders:
            raise UserError(f"No folder fits {pattern!r}. Name run folders such as outputs/acdc/unet/*/*-s1.")
        found = [run for folder in folders for run in load_results(folder, report)]
        runs |= {run.path: run for run in sorted(found, key=lambda run: baseline_first(run.key))}
    if not runs:
        raise UserError(f"There is no finished run in {patterns}: none has a summary.json with status finished.")
    return list(runs.values())


def baseline_first(key: RunKey) -> tuple[str, str, bool, str]:
    """Return what sorts runs by data set, backbone and convolution, the regular convolution before the others."""
    return key.dataset, key.backbone, key.conv != "regular", key.conv


def one_data_set(runs: Sequence[Result]) -> None:
    """Raise UserError unless all runs were tested on the same cases of the same data."""
    for name, values in {
        "data sets": [run.key.dataset for run in runs],
        "preparations of the data": [run.manifest[:10] for run in runs],
        "splits": [run.split for run in runs],
    }.items():
        if len(set(values)) > 1:
            found = ", ".join(f"{value} ({run.path.parent})" for value, run in zip(values, runs, strict=True))
            raise UserError(f"These runs have different {name}, so they share no cases to show side by side: {found}.")


def run_labels(runs: Sequence[Result], labels: str = "") -> list[str]:
    """Return a short name for each run: the convolution, and what else tells it from the others.

    Args:
        runs: what is to be named.
        labels: names of the user's own, with commas; empty for none.

    Raises:
        UserError: there are not as many labels as runs.
    """
    if labels:
        own = [label.strip() for label in labels.split(",")]
        if len(own) != len(runs):
            folders = ", ".join(str(run.path.parent) for run in runs)
            raise UserError(f"labels names {len(own)} runs, but {len(runs)} are shown: {folders}.")
        return own
    several = len({run.key.backbone for run in runs}) > 1
    names = [f"{run.key.conv}\n{run.key.backbone}" if several else run.key.conv for run in runs]
    details = ([f"seed {run.seed}" for run in runs], [run.split for run in runs], [run.variant for run in runs])
    for detail in details:
        times = Counter(names)
        names = [f"{name}, {each}" if times[name] > 1 else name for name, each in zip(names, detail, strict=True)]
    return names


def grouped(runs: Sequence[Result], protocol: str = "paper") -> tuple[list[Group], list[str]]:
    """Return runs that are alike in all but the seed as groups, and sentences on what tells groups apart.

    Groups of one row that differ, e.g. in their configuration, carry letters and are never averaged.

    Raises:
        UserError: a run was not scored under the protocol, or a seed occurs twice.
    """
    check_scored(runs, protocol)
    rows = group_runs(runs, protocol)
    marks, letters = marked({key: rows[key] for key in sorted(rows, key=baseline_first)})
    notes = [f"[{letter}] {meaning}." for letter, meaning in letters.items()]
    return [group for row in marks.values() for group in row], notes


def check_scored(runs: Sequence[Result], protocol: str) -> None:
    """Raise UserError unless all runs were scored under the protocol."""
    Request(protocol).check(runs)
    unscored = [str(run.path.parent) for run in runs if run.role(protocol) is None]
    if unscored:
        raise UserError(
            f"Without scores under protocol {protocol}: {', '.join(unscored)}. Score them by mode=evaluate."
        )


def budget_note(runs: Sequence[Result], names: Sequence[str]) -> str:
    """Return sentences that keep small or changed runs from passing for full ones; empty for full runs as shipped.

    Args:
        runs: what is shown.
        names: what each of them is called in the figure.
    """
    sizes = [f"{SIZES[budget]}." for budget in sorted({run.budget for run in runs}) if budget in SIZES]
    trained: dict[str, list[str]] = defaultdict(list)
    for run, name in zip(runs, names, strict=True):
        trained[not_as_shipped(run)].append(name)
    whose = {change: f" ({', '.join(dict.fromkeys(called))})" for change, called in trained.items()}
    changes = [f"Trained with {change}{whose[change] if len(trained) > 1 else ''}." for change in trained if change]
    return " ".join([*sizes, *changes])


def group_names(groups: Sequence[Group]) -> list[str]:
    """Return what a note calls groups: the letter of their setting, or their convolution where they have none."""
    return [f"[{group.mark}]" if group.mark else group.key.conv for group in groups]
