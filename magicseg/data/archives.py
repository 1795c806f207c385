"""Zip and tar archives as a source: unpacked into a folder, which they can neither leave nor fill without measure."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from magicseg.errors import UserError

MOST_FILES = 500_000
LARGEST_RATIO, ALWAYS_ALLOWED = 200, 2**30  # bytes unpacked per byte of archive; label maps come to about 100
_BLOCK = 2**20
_OPENERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# what the decoders raise on archives that are cut off, hold wrong bytes, or need a password or an unknown method
_DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, OverflowError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)
_BAD_HEADER = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]


class Member(NamedTuple):
    """An entry of an archive; ``stream`` is None for a folder and closed once the next member is asked for."""

    name: str
    stream: IO[bytes] | None


@contextmanager
def as_folder(source: Path | None, folder: Path, quiet: bool = False) -> Iterator[Path | None]:
    """Give ``source`` itself or, if it is a file, ``folder`` with the unpacked archive, which is removed afterwards.

    What an earlier call left in ``folder`` when it was killed is removed first.

    Raises:
        UserError: the file is no archive, or not one to be trusted.
    """
    if source is None or not source.is_file():
        yield source
        return
    try:
        shutil.rmtree(folder, ignore_errors=True)
        unpack(source, folder, quiet)
        yield folder
    except UserError as error:
        raise UserError(str(error).replace(str(folder), str(source))) from error  # the folder will be gone
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(archive: Path, folder: Path, quiet: bool = False) -> None:
    """Unpack the files of a zip or tar archive (plain, gz, bz2 or xz) into the new ``folder``.

    What macOS adds (``__MACOSX``, ``._name``) is left out. Times and permissions are not kept.

    Raises:
        UserError: no such archive, or damaged; it holds links or devices, names that leave the folder, are unreadable
            or come twice, more than 500,000 files, or more than 1 GiB and 200 times its own size; or the disk is full.
    """
    left = max(ALWAYS_ALLOWED, LARGEST_RATIO * archive.stat().st_size)
    try:
        folder.mkdir(parents=True)
        progress: tqdm[Any]
        with tqdm(desc=f"Unpacking {archive.name}", unit="B", unit_scale=True, disable=quiet or None) as progress:
            for number, member in enumerate(_members(archive)):
                path = folder / _inside(member.name, archive)
                if number >= MOST_FILES:
                    raise UserError(f"{archive} holds more than {MOST_FILES} files; unpack it yourself if it is right.")
                if member.stream is None:
                    path.mkdir(parents=True, exist_ok=True)
                elif not _is_of_macos(path.relative_to(folder)):
                    left -= _write(member, path, archive, left, progress)
    except _DAMAGE as error:
        raise UserError(f"{archive} cannot be unpacked: it is damaged, protected or too large ({error}).") from error


def _write(member: Member, path: Path, archive: Path, left: int, progress: tqdm[Any]) -> int:
    """Write a file and return its size, which may be at most ``left``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise UserError(f"{archive}: holds {member.name!r} twice; which one is meant cannot be known.")
    size = 0
    with path.open("xb") as file:
        while block := member.stream.read(_BLOCK) if member.stream else b"":
            size += len(block)
            if size > left:
                raise UserError(
                    f"{archive}: unpacks to over {LARGEST_RATIO} times its own size. "
                    "This looks like an archive made to fill the disk; unpack it yourself if it is right."
                )
            file.write(block)
            progress.update(len(block))
    return size


def _inside(name: str, archive: Path) -> PurePosixPath:
    """Return the name as a relative path that stays in its folder."""
    path = PurePosixPath(name.replace("\\", "/"))  # as some Windows programs write it
    drive = path.parts[0][1:2] == ":" if path.parts else False
    if path.is_absolute() or drive or ".." in path.parts:
        raise UserError(f"{archive}: the name {name!r} leads out of the archive; nothing is unpacked from such a file.")
    if not name.isprintable():  # control characters, and bytes that are no UTF-8
        raise UserError(f"{archive}: the name {name!r} holds characters that cannot be printed; rename that file.")
    return path


def _is_of_macos(path: Path) -> bool:
    return "__MACOSX" in path.parts or path.name.startswith("._")


def _members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as file:
        start = file.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    if opener:
        with opener(archive) as stream:
            yield from _tar_members(stream, archive)
    elif zipfile.is_zipfile(archive):
        yield from _zip_members(archive)
    elif tarfile.is_tarfile(archive):
        with archive.open("rb") as stream:
            yield from _tar_members(stream, archive)
    else:
        raise UserError(
            f"{archive} is neither a folder nor a zip or tar archive (plain, gz, bz2 or xz), or is damaged."
        )


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_plain(archive, info.filename)
            if info.is_dir():
                yield Member(info.filename, None)
            else:
                with content.open(info) as stream:
                    yield Member(info.filename, stream)


def _tar_members(stream: IO[bytes], archive: Path) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as content:
        for info in content:
            if info.issparse() or not (info.isfile() or info.isdir()):
                raise _not_plain(archive, info.name)
            yield Member(info.name, content.extractfile(info) if info.isfile() else None)
    while stream.read(_BLOCK):
        pass  # only the end of the stream carries its checksum


class _Header(tarfile.TarInfo):
    """A header of which damage is an error; tarfile takes it for the end of the archive, and the rest is lost."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(archive)
        except _BAD_HEADER as error:
            raise tarfile.ReadError(f"bad header: {error}") from error


def _not_plain(archive: Path, name: str) -> UserError:
    return UserError(f"{archive}: {name!r} is a link, device or the like; allowed are plain files and folders.")
