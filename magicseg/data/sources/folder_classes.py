"""The classes of one's own data: from the values in the masks, named by classes.txt or dataset.json."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Label
from magicseg.data.sources.arrays import damage
from magicseg.errors import UserError
from magicseg.files import read_json

MOST = 64  # more values than this are no classes, but nuclei counted through or the greys of a smoothed edge
MOST_LABELS = 256  # that 8 bits can number


@dataclass(frozen=True)
class Classes:
    """Names of the labels 0, 1, ..., the mask value of each, and notes for the user."""

    names: tuple[str, ...]
    values: tuple[int, ...]
    notes: tuple[str, ...] = ()


def find_classes(folder: Path, found: Mapping[int, Path]) -> Classes:
    """Return the classes of the mask values ``found``, each with a mask that holds it; 0 is the background.

    Raises:
        UserError: there are no values but 0, too many, negative ones, or other ones than those named; or they are not
            named, and 255 is one of several.
    """
    if not found.keys() - {0} or len(found) > MOST:
        raise UserError(
            f"The masks in {folder} hold {len(found)} values up to {max(found, default=0)}; expected are 0 for the "
            f"background and one value a class, at most {MOST}. Masks with smooth edges, and those that number single "
            "objects, must be turned into masks of classes first."
        )
    named = _named(folder, found.keys()) or _numbered(found)
    values = tuple(sorted(named))
    if values[0] < 0 or len(values) > MOST_LABELS:
        raise UserError(
            f"{found.get(values[0], folder)}: the masks hold, or a file names, {len(values)} values from {values[0]} "
            f"to {values[-1]}; allowed are 0 for the background and up to {MOST_LABELS - 1} values above it."
        )
    names = tuple(named[value] for value in values)
    if values == tuple(range(len(values))):
        return Classes(names, values)
    became = ", ".join(f"{value} became {label} ({named[value]})" for label, value in enumerate(values))
    return Classes(names, values, (f"Mask values: {became}.",))


def to_labels(mask: NDArray[Any], values: tuple[int, ...], where: object) -> Label:
    """Return the number of the class, i.e. the position in ``values``, of each value in ``mask``.

    Raises:
        UserError: the mask holds another value.
    """
    labels = np.minimum(np.searchsorted(values, mask), len(values) - 1)
    if not np.array_equal(np.asarray(values)[labels], mask):
        wrong = sorted(set(np.unique(mask).tolist()) - set(values))[:8]
        raise UserError(f"{where}: the mask holds the values {', '.join(map(str, wrong))}; allowed are {values}.")
    return labels.astype(np.uint8)


def _numbered(found: Mapping[int, Path]) -> dict[int, str]:
    """Return a name for each mask value that no file names."""
    others = sorted(found.keys() - {0, 255})
    if 255 in found and others:
        raise UserError(
            f"{found[255]} holds the mask value 255, {found[others[0]]} {others[0]} besides 0. 255 stands for the one "
            "class of masks of 0 and 255; beside other values it looks like smooth edges, or like masks of 0 and 1 "
            "among them. Turn them into masks of classes, or name the classes in classes.txt if 255 is one of several."
        )
    values = sorted(found.keys() | {0})
    return {value: f"class_{label}" if label else "background" for label, value in enumerate(values)}


def _named(folder: Path, found: Set[int]) -> dict[int, str]:
    """Return the name that a file gives to each mask value; nothing if there is no such file."""
    files = [path for name in ("classes.txt", "dataset.json") for path in sorted(folder.rglob(name))]
    if len(files) > 1:
        raise UserError(f"{files[0]} and {files[1]} both name the classes. Keep one of them.")
    if not files:
        return {}
    named = _from_json(files[0]) if files[0].suffix == ".json" else _from_text(files[0], found)
    if unknown := sorted(found - named.keys()):
        raise UserError(
            f"{files[0]}: names the values {', '.join(map(str, sorted(named)))}; the masks hold "
            f"{', '.join(map(str, unknown[:8]))} besides."
        )
    return named


def _from_text(path: Path, found: Set[int]) -> dict[int, str]:
    """Return the lines as names of 0, 1, ..., or of the values found, if there are as many of them and larger ones."""
    with damage(path, "text"):
        names = ["_".join(line.split()) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    if len(set(names)) != len(names):
        raise UserError(f"{path}: names a class twice; each needs its own name.")
    values = sorted(found | {0})
    return dict(zip(values if len(values) == len(names) else range(len(names)), names, strict=True))


def _from_json(path: Path) -> dict[int, str]:
    """Return the labels of a dataset.json: {"1": "name"} as in the Decathlon, or {"name": 1} as in nnU-Net."""
    content = read_json(path)
    labels: Any = content.get("labels") if isinstance(content, dict) else None
    try:
        entries = [(key, value) if str(key).isdigit() else (value, key) for key, value in labels.items()]
        named = {int(value): "_".join(str(name).split()) for value, name in entries}
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f'{path}: labels are {labels}; expected is {{"0": "background", "1": "name"}} or {{"name": 1}}.'
        ) from error
    if len(set(named.values()) | {"background"}) != len(named.keys() | {0}):
        raise UserError(f"{path}: names a class twice, or 0 is not the background: {labels}.")
    return {0: "background", **named}
