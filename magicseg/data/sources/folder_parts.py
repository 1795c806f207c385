"""Lists of names, train.txt, val.txt and test.txt, that divide one's own data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from magicseg.data.sources.arrays import damage
from magicseg.data.sources.folder_pairs import Pair, stem_of
from magicseg.data.sources.layouts import case_name
from magicseg.errors import UserError

LISTS = {"train": ("train.txt",), "val": ("val.txt", "valid.txt"), "test": ("test.txt",)}


def assign_parts(folder: Path, pairs: list[Pair]) -> tuple[list[Pair], dict[str, str], list[str]]:
    """Return the pairs with the part that the lists in ``folder`` or ``folder/lists`` give them.

    Returned too are the names that no pair has, with the reason, and a note if pairs are in no list. A line is the name
    of a case or of its image file, with or without suffix and folder. Lists overrule the names of folders.

    Raises:
        UserError: a name is in two lists, or a list is no text.
    """
    parts: dict[str, str] = {}
    for part, path in _lists(folder):
        for name in _names(path):
            if parts.setdefault(name, part) != part:
                raise UserError(f"{path}: {name} is also in the list of {parts[name]}; a case belongs to one part.")
    if not parts:
        return pairs, {}, []
    lost = {name: f"in the list of {part}, but there is no such image with a mask" for name, part in parts.items()}
    for pair in pairs:
        lost.pop(pair.name, None)
    unlisted = sum(pair.name not in parts for pair in pairs)
    notes = [f"{unlisted} of {len(pairs)} cases are in no list and belong to no part."] if unlisted else []
    return [replace(pair, part=parts.get(pair.name)) for pair in pairs], lost, notes


def _lists(folder: Path) -> list[tuple[str, Path]]:
    candidates = [
        (part, place / name) for part, names in LISTS.items() for place in (folder, folder / "lists") for name in names
    ]
    return [(part, path) for part, path in candidates if path.is_file()]


def _names(path: Path) -> list[str]:
    with damage(path, "text"):
        lines = path.read_text("utf-8-sig").splitlines()
    return [case_name(stem_of(Path(line.strip()))) for line in lines if line.strip()]
