"""Where data are prepared: apart from the source, over no one's files, by one process at a time."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from tiny_preparing import NAMES, go, pack

from magicseg.data import place, prepare
from magicseg.errors import UserError
from magicseg.files import lock


def raw(folder, *names):
    """Write arrays as a user's own npz files, and return what each holds."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        values = np.random.default_rng(number).random((4, 5)) * 900
        np.savez(folder / f"{name}.npz", image=values, label=(values > 400).astype(np.uint8))
    return {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("source", "root"),
    [("mine", "mine"), ("mine", "mine/prepared"), ("mine/cases", "mine"), ("mine", "."), ("link", "mine")],
)
def test_a_source_is_never_written_to(tmp_path, source, root):
    held = raw(tmp_path / "mine/cases", "a", "b")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match=rf"^source={tmp_path / source} and root={tmp_path / root} .* in the other"):
        prepare("folder", tmp_path / source, tmp_path / root, quiet=True)
    assert {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()} == held


@pytest.mark.parametrize("name", ["cases/x.npz", "cases/notes.txt", "report.html"])
def test_files_that_are_not_of_a_preparation_are_left_alone(source, root, name):
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text("the user's own")
    with pytest.raises(UserError, match=rf"^root={root} holds {name}, but nothing tells .*Give an empty or new folder"):
        go(source, root)
    assert [path.read_text() for path in root.rglob("*") if path.is_file()] == ["the user's own"]


def test_what_an_interrupted_preparation_left_is_cleaned(source, root, reads):
    reads[1].append(NAMES[3])
    with pytest.raises(KeyboardInterrupt):
        go(source, root)
    reads[1].clear()
    for name in (".patient001_frame01.npz.k3l1", "patient009_frame01.npz"):
        (root / "cases" / name).touch()
    assert go(source, root).verify(root) == []


def test_a_deleted_manifest_is_made_again(source, root):
    first = go(source, root)
    (root / "manifest.json").unlink()
    assert go(source, root) == first


def test_who_waited_holds_the_file_that_others_find(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "lock", partial(lock, attempts=1))
    root, done = tmp_path / "new/root", []

    def second():
        with place.alone(root, quiet=True):
            done.append(place.beside(root, "lock").is_file())  # the first has removed its own

    with ThreadPoolExecutor() as threads:
        with place.alone(root, quiet=True):
            waiting = threads.submit(second)
            time.sleep(0.1)
            done.append("first")
        waiting.result()
    assert done == ["first", True]


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_where_nothing_can_be_locked_data_are_prepared_all_the_same(source, root, monkeypatch, error):
    monkeypatch.setattr(place, "lock", Mock(side_effect=error))
    assert go(source, root).verify(root) == []


@pytest.mark.parametrize("packed", [False, True])
def test_of_two_preparations_of_one_root_the_second_waits_and_finds_it_done(
    source, root, tmp_path, monkeypatch, capsys, packed
):
    source = pack(source, tmp_path / "download.tar.gz") if packed else source
    module, goes_on, said = sys.modules[prepare.__module__], threading.Event(), ""
    write = module._write
    monkeypatch.setattr(module, "_write", lambda case, **options: goes_on.wait() and write(case, **options))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(go, source, root)
        while not (root / "progress.jsonl").exists():
            time.sleep(0.01)
        second = threads.submit(prepare, "acdc", source, root, allow_missing=True)
        for _ in range(500):
            said += capsys.readouterr().out
            if "waiting" in said:
                break
            time.sleep(0.01)
        goes_on.set()
        assert first.result() == second.result()
    assert said == f"Another process prepares {root}; waiting for it to end.\n"
    assert "nothing to do: 4 cases, 12 slices" in capsys.readouterr().out
    assert first.result().verify(root) == []
    assert {path.name for path in tmp_path.iterdir()} == {
        "source",
        "prepared",
        *(["download.tar.gz"] if packed else []),
    }
