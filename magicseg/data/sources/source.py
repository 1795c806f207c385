"""What a data set must tell so that it can be prepared: its classes, and its cases, each read when its turn comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from magicseg.data.case import Image, Label, Spacing
from magicseg.data.sources.grid import AS_STORED, Slices
from magicseg.files import digest, sha256


@dataclass(frozen=True)
class Volume:
    """A case as read from its source; a 2D image is a volume with D = 1.

    The image is float32 [D, H, W] in [0, 1], or uint8, [D, H, W] (grey) or [D, H, W, 3] (RGB). The label is
    [D, H, W], the spacing [z, y, x] in mm or None. Instances, [D, H, W], hold 0 for none and any other ids.
    """

    image: Image
    label: Label
    spacing: Spacing | None = None
    instances: NDArray[Any] | None = None


@dataclass(frozen=True)
class SourceCase:
    """A case that can be read. ``recipe`` names what turns ``files`` into arrays; ``facts`` go into the manifest.

    ``read`` runs in another process: it must be picklable, e.g. a module's function in ``functools.partial``. A case
    that belongs to an official part of the data set says so in its facts: ``{"part": "train"}``.
    """

    name: str
    subject: str
    files: tuple[Path, ...]
    recipe: str
    read: Callable[[], Volume]
    facts: dict[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a hash that changes if the source files, the way to read them or what is known of them change."""
        return digest(
            [self.recipe, self.facts, [[file.name, _hash(file, file.stat().st_mtime_ns)] for file in self.files]]
        )


@cache
def _hash(path: Path, changed: int) -> str:
    """Return the hash of a file's content, computed once for all the cases that share the file."""
    return sha256(path)


@dataclass(frozen=True)
class Source:
    """What was found: the layout, the cases in order, why others are missing, and notes for the user.

    ``classes`` are the names of the labels where the data set's format cannot know them.
    """

    layout: str
    cases: list[SourceCase]
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DatasetFormat:
    """A data set that can be prepared: names of its classes, how to find its cases, where a user gets the data.

    New images, which have no label, are read by the same rules: ``intensity`` is one of INTENSITIES, ``slices`` says
    how NIfTI volumes are cut.
    """

    classes: tuple[str, ...]
    find: Callable[[Path | None], Source]
    advice: str
    intensity: str = "as_they_are"
    slices: Slices = AS_STORED
