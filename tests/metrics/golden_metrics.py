"""Reference values of metrics.json: what other libraries and released code compute for the masks in metrics.npz."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(os.environ.get("MAGICSEG_GOLDEN", Path(__file__).parents[1] / "golden"))


@dataclass(frozen=True)
class Case:
    name: str
    prediction: np.ndarray
    truth: np.ndarray
    spacing: list[float] | None
    expected: dict[str, Any]
    per_class: dict[str, Any] | None

    @property
    def n_classes(self):
        return len(self.per_class) if self.per_class else 1

    def binary(self):
        """Yield (label, expected values) of each class, a binary case being its own only class."""
        if self.per_class is None:
            yield 1, self.expected
        else:
            yield from ((int(label), expected) for label, expected in self.per_class.items())


def golden_cases(*kinds):
    """Return pytest parameters of the cases of these kinds: binary, multiclass, instance."""
    content = json.loads((FOLDER / "metrics.json").read_text())
    with np.load(FOLDER / "metrics.npz") as arrays:
        found = [_case(entry, arrays) for entry in content["cases"] if entry["kind"] in kinds]
    if not found:
        raise ValueError(f"{FOLDER}/metrics.json holds no case of {kinds}.")
    return [pytest.param(case, id=case.name) for case in found]


def number(value):
    """Return a stored value as a float; None where the library raises or the value was not computed."""
    return None if value is None or isinstance(value, dict) else float(value)


def _case(entry, arrays):
    name = entry["name"]
    pair = arrays[f"{name}__pred"], arrays[f"{name}__gt"]
    return Case(name, *pair, entry.get("spacing"), entry["expected"], entry.get("per_class"))
