"""Files that are either whole or not there: atomic writes, locks, and hashes to tell one content from another."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from magicseg.errors import UserError

UNFINISHED = ".tmp"
"""How the names of files end that are being written; they begin with a dot."""


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it to ``path``.

    A process killed at any moment leaves the old file or the new one, never half of it.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED, delete=False
        ) as file:
            temporary = Path(file.name)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # temporary files start as 0600; results are for others to read too
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. Choose a folder that is writable and has space."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what writers that were killed left in ``folder`` and below; nobody else may be writing there."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON to ``path`` atomically; NaN and infinity become null."""
    write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8-sig"))  # Windows may put a mark first
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist.") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Collection[str], lineterminator: str = "\r\n") -> str:
    """Return ``rows``, each column -> value, as CSV below a line with the names of the columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator=lineterminator)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def lock(file: IO[str], wait: bool = False, attempts: int = 20) -> bool:
    """Lock an open file for this process alone and return True; the operating system lets go when it is closed.

    Returns False if another process holds it; ``wait`` waits for that one instead. Processes that only ask whether the
    file is locked let go within a moment.

    Raises:
        ImportError: the operating system is Windows.
        OSError: the file system has no locks.
    """
    import fcntl

    for attempt in range(attempts):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            if attempt + 1 < attempts:
                time.sleep(0.01)
        else:
            return True
    return False


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits."""
    content = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()


def digest(content: Any, length: int = 64) -> str:
    """Return a hash of JSON-like ``content`` that does not depend on the order of keys, as ``length`` hex digits."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not (abs(content) < float("inf")):
        return None
    return content
