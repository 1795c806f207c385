"""A small ACDC to prepare: its files, where it goes, and how often cases are read."""

import sys
import tarfile
from pathlib import Path

import pytest
from tiny_acdc import write_official

from magicseg.data import prepare
from magicseg.data.sources.source import SourceCase

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "prepare_data.py"


@pytest.fixture
def source(tmp_path):
    write_official(tmp_path / "source", 1)
    write_official(tmp_path / "source", 2)
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "prepared"


@pytest.fixture
def reads(monkeypatch):
    """Count the cases written, by name; raise KeyboardInterrupt at the name put in ``stop``."""
    module = sys.modules[prepare.__module__]
    write, written, stop = module._write, [], []

    def counted(case: SourceCase, **options):
        if case.name in stop:
            raise KeyboardInterrupt
        written.append(case.name)
        return write(case, **options)

    monkeypatch.setattr(module, "_write", counted)
    return written, stop


NAMES = [f"patient00{number}_frame0{frame}" for number in (1, 2) for frame in (1, 2)]


def go(source, root, **options):
    return prepare("acdc", source, root, allow_missing=True, quiet=True, **options)


def pack(source, archive):
    with tarfile.open(archive, "w:gz") as file:
        file.add(source, "ACDC")
    return archive
