"""One process at a time prepares a data set."""

import errno
import subprocess
import sys

import pytest
from command_line import PROJECT
from tiny_preparing import go

from magicseg.data.place import alone


def test_a_place_is_held_by_a_file_that_is_there_only_meanwhile(root, tmp_path):
    with alone(root):
        assert [path.name for path in tmp_path.iterdir()] == [".prepared.lock"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), alone(root):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_no_place(root, tmp_path, capsys):
    code = (
        "import pathlib, sys, time; from magicseg.data.place import alone\n"
        "with alone(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(99)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(root)], cwd=PROJECT, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    holder.communicate()
    with alone(root):
        assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_those_who_wait_come_one_after_another(root):
    """Each of them removes the file that the next ones wait for."""
    code = (
        "import pathlib, sys, time; from magicseg.data.place import alone\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with alone(root, quiet=True): root.mkdir(); time.sleep(0.002); root.rmdir()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(root)], cwd=PROJECT) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4


def test_without_locks_a_data_set_is_prepared_all_the_same(source, root, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    assert len(go(source, root).cases) == 4
