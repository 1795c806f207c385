"""A small ACDC to prepare: its cases, how it is prepared, and how it is packed."""

import tarfile

from magicseg.data import prepare

NAMES = [f"patient00{number}_frame0{frame}" for number in (1, 2) for frame in (1, 2)]


def go(source, root, **options):
    return prepare("acdc", source, root, allow_missing=True, quiet=True, **options)


def pack(source, archive):
    with tarfile.open(archive, "w:gz") as file:
        file.add(source, "ACDC")
    return archive
