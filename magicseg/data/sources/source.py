"""What a data set must tell so that it can be prepared: its classes, and its cases, each read when its turn comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magicseg.data.case import Image, Label, Spacing
from magicseg.files import digest, sha256


@dataclass(frozen=True)
class Volume:
    """A case as read from its source: image in [0, 1] and label, both [D, H, W]; spacing [z, y, x] in mm or None."""

    image: Image
    label: Label
    spacing: Spacing | None = None


@dataclass(frozen=True)
class SourceCase:
    """A case that can be read. ``recipe`` names what turns ``files`` into arrays; ``facts`` go into the manifest."""

    name: str
    subject: str
    files: tuple[Path, ...]
    recipe: str
    read: Callable[[], Volume]
    facts: dict[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a hash that changes if the source files or the way to read them change."""
        return digest([self.recipe, [[file.name, sha256(file)] for file in self.files]])


@dataclass(frozen=True)
class Source:
    """What was found: the layout, the cases in order, why others are missing, and notes for the user."""

    layout: str
    cases: list[SourceCase]
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetFormat:
    """A data set that can be prepared: names of its classes, how to find its cases, where a user gets the data."""

    classes: tuple[str, ...]
    find: Callable[[Path | None], Source]
    advice: str
