"""Where a data set may be prepared: apart from its source, and over no one's files."""

from __future__ import annotations

from pathlib import Path

from magicseg.data import stamp
from magicseg.data.manifest import FILE
from magicseg.data.report import REPORTS
from magicseg.errors import UserError, shortened

PROGRESS = "progress.jsonl"  # the cases finished so far, one a line; gone once the manifest is written


def check_place(source: Path | None, root: Path) -> None:
    """Raise UserError where preparing ``source`` in ``root`` would read what it writes, or replace a user's files."""
    if source is not None:
        read, written = source.resolve(), root.resolve()
        if read == written or read in written.parents or written in read.parents:
            raise UserError(
                f"source={source} and root={root} are the same or one lies in the other, so that preparing would read "
                "what it writes. Give a root apart from the source."
            )
    if any((root / name).exists() for name in (FILE, PROGRESS, stamp.FILE)):  # stamp: a manifest may be deleted
        return
    found = [*sorted((root / "cases").glob("*")), *(root / name for name in REPORTS if (root / name).exists())]
    if foreign := [path.relative_to(root).as_posix() for path in found]:
        raise UserError(
            f"root={root} holds {shortened(foreign, 3)}, but nothing tells that this was prepared here: {FILE} and "
            f"{PROGRESS} are missing. Give an empty or new folder, or delete these files if no one needs them."
        )
