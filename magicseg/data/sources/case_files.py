"""The files of a case that is there as one volume or as single slices."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from pathlib import Path

from magicseg.data.sources.arrays import Pair, stack_slices
from magicseg.data.sources.layouts import enter, gaps, missing_slices


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case by the number of their slice; the volume, which holds all of them, by None."""

    by_number: dict[int | None, Path] = field(default_factory=dict)

    def enter(self, number: str | None, path: Path) -> None:
        """Enter the file of a slice, or of the volume; raise UserError if another file is entered there already."""
        enter(self.by_number, None if number is None else int(number), path)

    @property
    def volume(self) -> Path | None:
        """The file of the volume, if there is one."""
        return self.by_number.get(None)

    @property
    def slices(self) -> dict[int, Path]:
        """The files of single slices, in the order of their numbers."""
        return dict(sorted((number, path) for number, path in self.by_number.items() if number is not None))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to read: the volume, or else the slices in order."""
        return (self.volume,) if self.volume else tuple(self.slices.values())

    def problem(self, first: int = 0, named: Set[int] = frozenset()) -> str | None:
        """Return why the case cannot be read; None if there is a volume, or all slices from ``first`` and ``named``."""
        if self.volume:
            return None
        if not self.slices:
            return "neither a volume nor slices are there"
        present = self.slices.keys()
        absent = sorted({*gaps(present | named, first), *(named - present)})
        return missing_slices(absent) if absent else None


def read_files(paths: tuple[Path, ...], is_volume: bool, read: Callable[[Path, int], Pair]) -> Pair:
    """Return image and label, [D, H, W], of a case; ``read`` gives those of a file that holds so many axes.

    Raises:
        UserError: the slices have different sizes, or ``read`` refuses a file.
    """
    return read(paths[0], 3) if is_volume else stack_slices(paths, lambda path: read(path, 2))
