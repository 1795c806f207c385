import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from magicseg.errors import UserError
from magicseg.files import digest, read_json, remove_unfinished, sha256, write_atomic, write_json, write_text


def test_text_and_json_come_back(tmp_path):
    write_text(tmp_path / "deep" / "a.txt", "ä\n")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == "ä\n".encode()
    write_json(tmp_path / "b.json", {"x": [1, 2.5, math.nan, (math.inf,)]})
    assert read_json(tmp_path / "b.json") == {"x": [1, 2.5, None, [None]]}


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a"
    write_text(path, "old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomic(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.json"
    code = f"""
from pathlib import Path
from magicseg.files import write_json
n = 0
while True:
    n += 1
    write_json(Path({str(path)!r}), [n] * 100000)
"""
    for delay in (0.0, 0.013, 0.031):
        process = subprocess.Popen([sys.executable, "-c", code])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = json.loads(path.read_text())
        assert len(content) == 100000
        assert len(set(content)) == 1


def test_what_killed_writers_left_can_be_removed(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from magicseg.files import write_atomic
write_atomic(Path({str(tmp_path / "deep" / "last.pt")!r}), lambda file: os.kill(os.getpid(), signal.SIGKILL))
"""
    write_text(tmp_path / "deep" / "last.pt", "old")
    (tmp_path / ".lock").touch()
    subprocess.run([sys.executable, "-c", code])
    assert len(os.listdir(tmp_path / "deep")) == 2
    remove_unfinished(tmp_path)
    assert os.listdir(tmp_path / "deep") == ["last.pt"]
    assert (tmp_path / ".lock").exists()


def test_unwritable_places_are_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write .*file/a.*Choose a folder"):
        write_text(tmp_path / "file" / "a", "text")


def test_bad_json_names_the_file(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match=r"bad\.json cannot be read as JSON"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(UserError, match=r"none\.json does not exist"):
        read_json(tmp_path / "none.json")


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest({}, 8)) == 8
