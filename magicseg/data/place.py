"""Where a data set may be prepared: apart from its source, over no one's files, and by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from magicseg.data import stamp
from magicseg.data.manifest import FILE
from magicseg.data.report import REPORTS
from magicseg.errors import UserError, shortened
from magicseg.files import lock

PROGRESS = "progress.jsonl"  # the cases finished so far, one a line; gone once the manifest is written


def check_apart(source: Path | None, root: Path) -> None:
    """Raise UserError if preparing ``source`` in ``root`` would read what it writes."""
    if source is None:
        return
    read, written = source.resolve(), root.resolve()
    if read == written or read in written.parents or written in read.parents:
        raise UserError(
            f"source={source} and root={root} are the same or one lies in the other, so that preparing would read "
            "what it writes. Give a root apart from the source."
        )


def check_free(root: Path) -> None:
    """Raise UserError if ``root`` holds files that preparing would replace and that were not prepared."""
    if any((root / name).exists() for name in (FILE, PROGRESS, stamp.FILE)):  # stamp: a manifest may be deleted
        return
    found = [*sorted((root / "cases").glob("*")), *(root / name for name in REPORTS if (root / name).exists())]
    if foreign := [path.relative_to(root).as_posix() for path in found]:
        raise UserError(
            f"root={root} holds {shortened(foreign, 3)}, but nothing tells that this was prepared here: {FILE} and "
            f"{PROGRESS} are missing. Give an empty or new folder, or delete these files if no one needs them."
        )


def beside(root: Path, ending: str) -> Path:
    """Return the hidden neighbour of ``root`` that is there while something is prepared in it."""
    place = root.resolve()  # "." has no name
    return place.with_name(f".{place.name}.{ending}")


@contextmanager
def alone(root: Path, quiet: bool = False) -> Iterator[None]:
    """Let no other process prepare ``root`` meanwhile; wait while one does, and say so unless ``quiet``.

    The operating system lets go when the process ends, however it ends. Where it has no locks, nothing is locked.
    """
    file = _held(root, quiet)
    try:
        yield
    finally:
        if file is not None:
            beside(root, "lock").unlink(missing_ok=True)
            file.close()


def _held(root: Path, quiet: bool) -> IO[str] | None:
    """Return the open file that is locked for ``root``, or None where nothing can be locked."""
    path = beside(root, "lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = path.open("w")
            if not lock(file):
                if not quiet:
                    print(f"Another process prepares {root}; waiting for it to end.", flush=True)
                lock(file, wait=True)
            if _is_at(path, file):
                return file
            file.close()  # who held it has removed it: the next process would open another one
    except (ImportError, OSError):  # Windows; a file system without locks, or one that is only read
        return None


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
