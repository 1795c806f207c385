"""Sharing work among processes: the same results, and a clean end whatever happens."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from magicseg.data import workers
from magicseg.data.workers import work
from magicseg.errors import UserError


def test_one_worker_stays_in_this_process():
    assert list(work(lambda item: (item, os.getpid()), "ab", 1)) == [("a", os.getpid()), ("b", os.getpid())]


def test_several_workers_give_the_same_results():
    assert sorted(work(partial(pow, 2), range(20), 2)) == [2**exponent for exponent in range(20)]


def test_few_items_need_no_process(monkeypatch):
    monkeypatch.setattr(workers, "ProcessPoolExecutor", None)
    assert list(work(abs, [-1] * workers.WORTH_A_WORKER)) == [1] * workers.WORTH_A_WORKER
    assert list(work(abs, [], 8)) == []
    assert list(work(abs, [-1], 8)) == [1]


def test_preparing_and_its_processes_do_without_pytorch():
    script = "import magicseg.data.prepare, sys; print({'torch', 'matplotlib', 'pandas'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_worker_is_refused(count):
    with pytest.raises(UserError, match=f"workers={count}: allowed are whole numbers from 1"):
        list(work(abs, [-1], count))


def refuse(item):
    raise UserError(f"{item} is odd")


def test_an_error_in_a_worker_is_that_error():
    with pytest.raises(UserError, match=r"^3 is odd$"):
        list(work(refuse, [3, 3], 2))


def test_a_killed_worker_is_a_users_matter():
    with pytest.raises(UserError, match="ended unexpectedly, perhaps for lack of memory"):
        list(work(os._exit, [1, 1], 2))


SCRIPT = """
import sys, time
from magicseg.data.workers import work
if __name__ == "__main__":
    print("begun", flush=True)
    for _ in work(time.sleep, [0.0, 0.0] + [0.2] * 100, 2):
        print("done", flush=True)
"""


def children_of(process):
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text().split()]


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc to see the processes")
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(tmp_path, signal_):
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(workers.__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert [process.stdout.readline() for _ in range(3)] == ["begun\n", "done\n", "done\n"]
    children = children_of(process)
    assert len(children) >= 2
    for pid in [process.pid, *children] if signal_ == signal.SIGINT else [process.pid]:  # Ctrl-C reaches all
        os.kill(pid, signal_)
    process.wait(timeout=60)
    errors = process.stderr.read()
    assert errors.count("Traceback") <= 1  # of the parent, whose main function is not the project's
    deadline = time.monotonic() + 20
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, children))
