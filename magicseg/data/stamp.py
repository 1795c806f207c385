"""Whether anything has changed since a data set was prepared, told by sizes and times instead of contents.

Only a quick way to do nothing: where the stamp does not fit, the contents of the files decide.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from magicseg.errors import UserError
from magicseg.files import digest, sha256, write_text

FILE = "stamp.txt"


def state_of(source: Path | None) -> str:
    """Return a hash of names, sizes and times of the files of ``source``, and of the code that reads them.

    Raises:
        UserError: the source holds folders that cannot be read.
    """
    code = [sha256(path) for path in sorted(Path(__file__).parent.rglob("*.py"))]
    try:
        return digest([code, sorted(_files(source)) if source and source.exists() else None])
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}). Make it readable, or give another source."
        ) from error


def fits(root: Path, source_state: str) -> bool:
    """Return whether source and prepared files are as they were when ``write`` was called."""
    with suppress(OSError):
        return (root / FILE).read_text() == _state(root, source_state)
    return False


def write(root: Path, source_state: str) -> None:
    """Note the state of source and prepared files in ``root``; where nothing can be written, nothing is noted."""
    with suppress(UserError):
        write_text(root / FILE, _state(root, source_state))


def remove(root: Path) -> None:
    """Let contents decide the next time."""
    (root / FILE).unlink(missing_ok=True)


def _state(root: Path, source_state: str) -> str:
    files = sorted(path for path in root.iterdir() if path.is_file() and path.name != FILE)
    return digest([source_state, sorted(_files(root / "cases")), [_facts(path, path.name) for path in files]])


def _files(source: Path) -> Iterator[list[str | int]]:
    """Yield the facts of ``source`` if it is a file, else of every file below it, through links as well."""
    if source.is_file():
        yield _facts(source, source.name)
        return
    seen = set()
    for folder, folders, files in os.walk(source, onerror=_raise, followlinks=True):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()  # a link to a folder above it
            continue
        seen.add((here.st_dev, here.st_ino))
        paths = [Path(folder, name) for name in files]
        yield from (_facts(path, str(path.relative_to(source))) for path in paths if path.is_file())


def _facts(path: Path, name: str) -> list[str | int]:
    facts = path.stat()
    return [name, facts.st_size, facts.st_mtime_ns]


def _raise(error: OSError) -> None:
    raise error
