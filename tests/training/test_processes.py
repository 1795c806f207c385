"""A process a run: limits, locks and interruptions. The server that imports PyTorch is started once for all tests."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from command_line import PROJECT
from saved_run import edit_config
from tiny_sweep import prepare_squares, quick_run

from magicseg.assembly.checkpoint import save_checkpoint
from magicseg.errors import UserError
from magicseg.runs import RunFolder, RunHeldError
from magicseg.training import processes
from magicseg.training.interruption import Interrupted
from magicseg.training.processes import Limits, Processes


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return prepare_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture
def run_with(squares, tmp_path):
    """Return a run whose convolution is one of ``faults``."""
    return lambda fault, *overrides: quick_run(squares, tmp_path, f"conv.operator._target_=faults.{fault}", *overrides)


def ended(run):
    status = run.folder.state()
    return status["state"], status.get("reason")


def test_a_run_that_finishes_has_no_problem_and_a_log(squares, tmp_path, capfd):
    run = quick_run(squares, tmp_path)
    assert Processes([run], Limits()).run() == [None]
    assert run.folder.finished()
    log = run.folder.log.read_text()
    assert "train.py dataset=folder" in log
    assert "paper protocol (strict)" in log
    assert "paper protocol" not in capfd.readouterr().out


def test_a_run_that_hangs_for_good_is_killed(run_with, monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.5)
    run = run_with("HangsForGood")
    problems = Processes([run], Limits(timeout_min=0.05)).run()
    assert ended(run) == ("timeout", "longer than hydra.launcher.timeout_min=0.05")
    assert problems[0] is not None


def test_a_run_that_wants_too_much_memory_fails(run_with):
    run = run_with("Greedy")
    Processes([run], Limits(memory_gb=6)).run()
    state, reason = ended(run)
    assert state == "out of memory"
    assert "allocate" in reason


def test_a_mistake_that_stops_a_run_before_it_starts_is_told(squares, tmp_path):
    run = quick_run(squares, tmp_path, "recipe.epochs=0")
    Processes([run], Limits()).run()
    state, reason = ended(run)
    assert state == "failed"
    assert reason.startswith("exit code 1: ")
    assert "recipe.epochs is 0" in run.folder.log.read_text()


def test_runs_share_the_gpus(run_with):
    runs = [run_with("ShowsGpu", f"seed={seed}") for seed in (1, 2)]
    Processes(runs, Limits(n_jobs=2, gpus=[3, 5])).run()
    assert [ended(run)[1] for run in runs] == ["ValueError: sees GPU 3", "ValueError: sees GPU 5"]


def test_a_run_that_another_process_works_on_is_left_to_it(squares, tmp_path, capsys):
    run = quick_run(squares, tmp_path)
    with run.folder.lock():
        assert Processes([run], Limits()).run() == [None]
        assert run.folder.state()["state"] == "running"
    assert "another process works on it" in capsys.readouterr().out
    assert not run.folder.status_file.exists()


def test_scoring_again_that_fails_is_a_problem_of_a_finished_run(squares, tmp_path):
    Processes([quick_run(squares, tmp_path)], Limits()).run()
    done = quick_run(squares, tmp_path).folder
    again = quick_run(squares, tmp_path, "mode=evaluate", f"run={done.path}", "protocol=strict", "protocol.unit=no")
    problems = Processes([again], Limits()).run()
    assert problems[0].startswith("exit code 1: ")
    assert "unit" in done.log.read_text()
    assert done.finished()


def test_scoring_again_takes_the_data_from_where_the_command_line_says(squares, tmp_path):
    Processes([quick_run(squares, tmp_path)], Limits()).run()
    done = quick_run(squares, tmp_path).folder
    edit_config(done.path, "dataset.root", "nowhere")
    again = quick_run(squares, tmp_path, "mode=evaluate", f"run={done.path}")
    assert Processes([again], Limits()).run() == [None]


def test_asked_to_stop_it_stops_the_runs_and_starts_no_more(run_with):
    hanging, waiting = run_with("Hangs"), run_with("Hangs", "seed=2")

    def stop_when_running():
        while hanging.folder.status()["state"] != "running":
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_when_running).start()
    with pytest.raises(Interrupted) as stop:
        Processes([hanging, waiting], Limits()).run()
    assert stop.value.code == 143
    assert ended(hanging) == ("interrupted", "exit code 143")
    assert ended(waiting) == ("new", None)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(n_jobs=0), r"hydra.launcher.n_jobs is 0; it must be a whole number of at least 1"),
        (Limits(timeout_min=0), r"hydra.launcher.timeout_min is 0; it must be a number above 0, or null"),
        (Limits(memory_gb="much"), r"hydra.launcher.memory_gb is 'much'"),
        (Limits(gpus=1), r"hydra.launcher.gpus is 1; it must be a list of GPU numbers such as \[0, 1\], or null"),
        (Limits(gpus=0), r"hydra.launcher.gpus is 0; "),
        (Limits(gpus=[]), r"hydra.launcher.gpus is \[\]; "),
        (Limits(gpus=["a"]), r"hydra.launcher.gpus is \['a'\]; "),
        (Limits(n_jobs=True), r"hydra.launcher.n_jobs is True; "),
    ],
)
def test_limits_that_no_run_can_keep_are_refused(limits, message):
    with pytest.raises(UserError, match=message):
        Processes([], limits)


def test_a_later_state_keeps_what_was_told_of_the_training(tmp_path):
    folder = RunFolder(tmp_path)
    folder.set_status("running", epoch=2, epochs=8, seconds=5.0)
    folder.set_status("failed", reason="no room")
    folder.set_status("finished", epoch=8)
    status = folder.status()
    assert (status["epoch"], status["epochs"], status["seconds"]) == (8, 8, 5.0)
    assert "reason" not in status


def test_who_locks_a_run_removes_what_a_killed_process_left_half_written(tmp_path):
    folder = RunFolder(tmp_path)
    save_checkpoint(folder.last, {})
    left = folder.last.with_name(".last.pt.k2_j1x0a.tmp")
    left.touch()
    with folder.lock():
        assert os.listdir(left.parent) == ["last.pt"]
        left.touch()
        with pytest.raises(RunHeldError), folder.lock():
            pass
        assert left.exists()


def test_a_lock_does_not_outlive_its_process(tmp_path):
    folder = RunFolder(tmp_path)
    code = (
        "import pathlib, sys, time; from magicseg.runs import RunFolder\n"
        "folder = RunFolder(pathlib.Path(sys.argv[1]))\n"
        "with folder.lock(): folder.set_status('running'); print('locked', flush=True); time.sleep(99)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"locked\n"
    assert folder.held()
    assert folder.state()["state"] == "running"
    holder.kill()
    holder.communicate()
    assert not folder.held()
    assert folder.state()["state"] == "killed"
    with folder.lock():
        assert folder.held()


def test_the_server_does_not_touch_a_gpu():
    """A process that was forked after CUDA's start cannot use it."""
    code = (
        "import torch; used = []\n"
        "for name in ('is_available', 'device_count', 'init', '_lazy_init', 'current_device', 'get_device_name'):\n"
        "    setattr(torch.cuda, name, lambda *_, name=name: used.append(name))\n"
        f"import {', '.join(processes.PRELOADED)}\n"
        "print(used)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
