"""Image and mask files that belong together by name, and what is there of a data set of known size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from magicseg.data.sources.images import SUFFIXES

Pair = dict[str, Path]  # "image" and "mask", as far as they are there


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the image files in ``folder`` and below it, in the order of their paths; upper-case suffixes count."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)


def incomplete(pairs: Mapping[str, Pair]) -> dict[str, str]:
    """Return what each case lacks of which not both files are there."""
    absent = {name: sorted({"image", "mask"} - set(pair)) for name, pair in pairs.items()}
    return {
        name: f"the {kinds[0]} is not there" if len(kinds) == 1 else "neither image nor mask is there"
        for name, kinds in absent.items()
        if kinds
    }


def unnamed(found: Mapping[str, int], expected: Mapping[str, int]) -> dict[str, str]:
    """Return an entry for each case that a part of known size lacks without its name being known."""
    return {
        f"unnamed {part} image {number}": f"{part} has {found.get(part, 0)} of {size} images"
        for part, size in expected.items()
        for number in range(1, size - found.get(part, 0) + 1)
    }


def jpeg_note(masks: list[Path]) -> list[str]:
    """Return a note if masks are JPEG files, whose values are not exact."""
    count = sum(path.suffix.lower() in (".jpg", ".jpeg") for path in masks)
    return [f"{count} masks are JPEG files, whose values are not exact: above 127 counts as object."] if count else []
