"""Slices ready to be used, in files that epochs, workers and runs share; they are made when they are first needed.

``root/cache/<form>/<content>.slices`` holds the slices of one case in one form. It can be deleted between runs; then it
is made again. A file is used only if its size and hash are right, and content and form are part of the hash.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Case, Image, Label, load_case
from magicseg.data.transforms import Pair
from magicseg.errors import UserError
from magicseg.files import write_atomic

HASH = 32  # bytes
VERSION = "1"  # of what is stored; files of another version are not used
Records = NDArray[np.void]  # [D] of (image, label)


class SliceCache:
    """The slices of prepared cases in ``root``, each as ``make(image, label)`` returns it.

    ``form`` names what ``make`` does. Where the folder cannot be written, slices are kept in memory.
    """

    def __init__(self, root: Path, form: str, make: Callable[[Image, Label], Pair]) -> None:
        self.root, self.form, self.make = root, form, make
        self._stored: dict[str, Stored | Records] = {}

    def read(self, case: Case, number: int) -> Pair:
        """Return a copy of slice ``number`` of a case.

        Raises:
            UserError: the case cannot be read.
        """
        if case.content not in self._stored:
            self._stored[case.content] = self._open(case)
        stored = self._stored[case.content]
        record = stored.read(number) if isinstance(stored, Stored) else stored[number].copy()
        return record["image"], record["label"]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the slices that are kept in memory behind when another process gets its copy."""
        stored = {content: stored for content, stored in self._stored.items() if isinstance(stored, Stored)}
        return {**self.__dict__, "_stored": stored}

    def _open(self, case: Case) -> Stored | Records:
        path = self.root / "cache" / self.form / f"{case.content}.slices"
        key = f"{VERSION} {self.form} {case.content}"
        stored = Stored.open(path, key)
        if stored is not None:
            return stored
        records = self._make(case)
        try:
            return Stored.write(path, key, records)
        except UserError:
            warnings.warn(
                f"{self.root / 'cache'} cannot be written to or is full. Resized slices are kept in memory instead, "
                "and each process makes its own.",
                stacklevel=1,
            )
            return records

    def _make(self, case: Case) -> Records:
        pairs = [self.make(image, label) for image, label in zip(*load_case(self.root, case), strict=True)]
        image, label = pairs[0]
        dtype = np.dtype([("image", image.dtype, image.shape), ("label", label.dtype, label.shape)])
        return np.array(pairs, dtype)


@dataclass(frozen=True)
class Stored:
    """Records in a file: a SHA-256 hash, then NumPy's header and the records."""

    path: Path
    dtype: np.dtype
    start: int

    @classmethod
    def open(cls, path: Path, key: str) -> Stored | None:
        """Return the records in ``path``; None if the file is missing, damaged or not of this ``key``."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if content[:HASH] != _hash(key, memoryview(content)[HASH:]):
            return None
        file = io.BytesIO(content)
        file.seek(HASH)
        np.lib.format.read_magic(file)
        _, _, dtype = np.lib.format.read_array_header_1_0(file)
        return cls(path, dtype, file.tell())

    @classmethod
    def write(cls, path: Path, key: str, records: Records) -> Stored:
        """Write records to ``path`` atomically.

        Raises:
            UserError: the folder cannot be written.
        """
        memory = io.BytesIO()
        np.lib.format.write_array(memory, records, version=(1, 0))
        content = memory.getbuffer()
        write_atomic(path, lambda file: file.writelines([_hash(key, content), content]))
        return cls(path, records.dtype, HASH + len(content) - records.nbytes)

    def read(self, number: int) -> np.void:
        """Return record ``number``.

        Raises:
            UserError: the file has gone or become shorter since it was opened.
        """
        try:
            offset = self.start + number * self.dtype.itemsize
            record: np.void = np.fromfile(self.path, self.dtype, count=1, offset=offset)[0]
            return record
        except (OSError, IndexError) as error:
            raise UserError(
                f"{self.path} was deleted or changed while it was in use. Delete the folder cache only between runs; "
                "this run goes on where it was if it is started again."
            ) from error


def _hash(key: str, content: memoryview) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.digest()
