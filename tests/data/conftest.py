"""What tests of data share: the real sets, kept where they are found in data/verification, and tiny ones."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_acdc import write_official

from magicseg.data import prepare
from magicseg.data.case import write_case
from magicseg.data.sources.source import SourceCase

PROJECT = Path(__file__).resolve().parents[2]
VERIFICATION = PROJECT / "data" / "verification"
UNPACK = PROJECT.parent / "shared" / "data" / "unpack.py"


def _unpacked(name):
    if "MAGICSEG_DATA" in os.environ:
        folder = Path(os.environ["MAGICSEG_DATA"]) / name
        if not folder.is_dir():
            pytest.skip(f"MAGICSEG_DATA holds no folder {name}: {folder}")
        return folder
    if not (VERIFICATION / name).is_dir():
        if not UNPACK.is_file():
            pytest.skip(f"needs real data: set MAGICSEG_DATA to the folder that holds {name}/")
        VERIFICATION.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(UNPACK), str(VERIFICATION), name], check=True, stdout=subprocess.DEVNULL)
    return VERIFICATION / name


@pytest.fixture(scope="session")
def verification():
    """Return a function that gives the folder of a set of real data by its name, or skips the test."""
    return _unpacked


@pytest.fixture(scope="session")
def acdc_source(verification):
    """Folder with the real ACDC in the SSL4MIS layout."""
    return verification("acdc")


@pytest.fixture(scope="session")
def real_acdc(acdc_source):
    """Root and manifest of the real ACDC, prepared."""
    root = VERIFICATION / "prepared_acdc"
    return root, prepare("acdc", acdc_source, root, quiet=True)


@pytest.fixture
def make_case(tmp_path):
    """Return a function that writes a case of random values and returns its entry; its root is ``tmp_path``."""

    def make(name="patient001_frame01", shape=(3, 8, 6), seed=0, spacing=None):
        rng = np.random.default_rng(seed)
        image, label = rng.random(shape).astype(np.float32), rng.integers(0, 4, shape).astype(np.uint8)
        return write_case(tmp_path, name, name.partition("_")[0], image, label, spacing, 4, {"layout": "made up"})

    return make


@pytest.fixture
def source(tmp_path):
    """Folder with two made-up patients of ACDC."""
    write_official(tmp_path / "source", 1)
    write_official(tmp_path / "source", 2)
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path):
    """Folder to prepare a data set in."""
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
