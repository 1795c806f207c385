"""Finding a data set's files in a folder: one layout, each file once, no slice left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from magicseg.errors import UserError, shortened

Key = TypeVar("Key")


def need_folder(folder: Path | None, dataset: str, advice: str) -> Path:
    """Return ``folder``; raise UserError with ``advice`` if there is none."""
    if folder is None or not folder.is_dir():
        problem = f"source={folder} is not a folder" if folder else "No source folder given"
        raise UserError(f"{problem}: {dataset} cannot be prepared without it. {advice}")
    return folder


def only_layout(folder: Path, dataset: str, found: Mapping[str, object], expected: str, advice: str) -> str:
    """Return the one layout of which files were ``found``.

    Raises:
        UserError: none was found (the text says what was ``expected``), or more than one.
    """
    present = [layout for layout, files in found.items() if files]
    if not present:
        raise UserError(f"No {dataset} data below {folder}: expected {expected}. {advice}")
    if len(present) > 1:
        raise UserError(
            f"{folder} holds {dataset} data in {len(present)} layouts: {', '.join(present)}. "
            "Give the folder of one of them as source."
        )
    return present[0]


def enter(files: dict[Key, Path], key: Key, path: Path) -> None:
    """Enter ``path`` in ``files``; raise UserError if another file is entered there already."""
    if key in files:
        raise UserError(
            f"{files[key]} and {path} are both there for the same item. Give a folder that holds it once as source."
        )
    files[key] = path


def gaps(numbers: Iterable[int], first: int) -> list[int]:
    """Return the numbers that lack between ``first`` and the largest of ``numbers``."""
    present = set(numbers)
    return sorted(set(range(first, max(present, default=first) + 1)) - present)


def missing_slices(absent: list[int]) -> str:
    """Return the reason why a case with ``absent`` slices cannot be read."""
    return f"no slice {shortened(list(map(str, absent)))}"


def case_name(text: str) -> str:
    """Return ``text`` as the name of a case: whatever is no letter, digit, ``_``, ``-`` or ``.`` becomes ``_``."""
    return re.sub(r"^[.-]", "_", re.sub(r"[^A-Za-z0-9_.-]", "_", text))
