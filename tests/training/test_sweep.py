"""Sweeps whose runs fail in every way: the others go on, nothing is trained twice, and how each ended is told."""

import re

import pytest
from faults import FAULTS
from tiny_sweep import ended, prepare_squares, start

from magicseg.files import read_json

FAILING = set(range(4, 41, 4))
ENDS = {
    4: ("failed", "ValueError: a kernel has gone astray"),
    8: ("failed", "exit code 4"),
    12: ("failed", "exit code 3"),
    16: ("failed", "exit code 3"),
    20: ("killed", "ended by SIGKILL"),
    24: ("killed", "ended by SIGSEGV"),
    28: ("out of memory", "MemoryError: no room for a kernel"),
    32: ("out of memory", "MemoryError: no room for a kernel"),
    36: ("timeout", "longer than hydra.launcher.timeout_min=0.2"),
    40: ("timeout", "longer than hydra.launcher.timeout_min=0.2"),
}


def seed_of(path):
    return int(re.search(r"-s(\d+)/", str(path))[1])


def of_seeds(outputs, name):
    return {seed_of(path): path for path in outputs.rglob(name)}


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return prepare_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, squares):
    """Forty runs, ten of which fail; what the command said and left."""
    outputs = tmp_path_factory.mktemp("outputs")
    command = [f"dataset.root={squares}", f"outputs={outputs}", "conv.operator._target_=faults.EveryFourth"]
    command += ["seed=range(1,41)", "hydra.launcher.n_jobs=2", "hydra.launcher.timeout_min=0.2"]
    said = ended(start(*command, FAULTS="1"))
    states = {seed: read_json(path) for seed, path in of_seeds(outputs, "status.json").items()}
    return outputs, command, said, states


def test_ten_of_forty_fail_and_the_others_finish(sweep):
    _, _, (code, output, errors), states = sweep
    assert len(FAULTS) == len(FAILING)
    assert code == 1
    assert {seed for seed, status in states.items() if status["state"] == "finished"} == set(range(1, 41)) - FAILING
    assert "40 runs: 30 finished, 4 failed, 2 killed, 2 timeout, 2 out of memory" in output
    assert "Error: 10 of 40 runs did not finish." in " ".join(errors.split())
    assert "leaked" not in errors


@pytest.mark.parametrize("seed", sorted(ENDS))
def test_each_end_is_told_with_its_reason(sweep, seed):
    _, _, (_, output, _), states = sweep
    state, reason = ENDS[seed]
    assert states[seed]["state"] == state
    assert states[seed]["reason"].startswith(reason)
    line = next(line for line in output.splitlines() if line.startswith(state) and f"-s{seed}: " in line)
    assert reason in line


def test_the_end_of_the_log_is_shown(sweep):
    _, _, (_, output, _), _ = sweep
    assert "    | ValueError: a kernel has gone astray" in output
    assert "    | MemoryError: no room for a kernel" in output


def test_the_same_command_runs_only_what_is_not_finished(sweep):
    outputs, command, _, _ = sweep
    before = {seed: path.stat().st_mtime_ns for seed, path in of_seeds(outputs, "summary.json").items()}
    code, output, errors = ended(start(*command))  # nothing makes them fail any more
    assert code == 0, errors
    assert "10 of 40 runs to do" in output
    assert {int(seed) for seed in re.findall(r"-s(\d+): started", output)} == FAILING
    assert "40 runs: 40 finished" in output
    after = {seed: path.stat().st_mtime_ns for seed, path in of_seeds(outputs, "summary.json").items()}
    assert {seed for seed in after if after[seed] != before.get(seed)} == FAILING


def test_what_cannot_work_is_told_before_the_others_start(squares, tmp_path):
    code, output, errors = ended(start(f"dataset.root={squares}", f"outputs={tmp_path}", "recipe.size=32,33"))
    assert code == 1
    assert output.startswith("1 of 2 runs to do\nrefused ")
    assert output.index(": recipe.size=33 does not fit backbone=unet") < output.index(": started")
    assert "2 runs: 1 finished, 1 refused" in output
    assert "Error: 1 of 2 runs did not finish." in " ".join(errors.split())


def test_two_launchers_train_each_run_once(squares, tmp_path):
    command = [f"dataset.root={squares}", f"outputs={tmp_path / 'outputs'}", "seed=range(1,9)"]
    command += ["conv.operator._target_=faults.Recorded"]
    both = [start(*command, TRAINED=str(tmp_path / "trained")) for _ in range(2)]
    ends = [ended(process) for process in both]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert sorted((tmp_path / "trained").read_text().split()) == [str(seed) for seed in range(1, 9)]
    assert sorted(of_seeds(tmp_path / "outputs", "summary.json")) == list(range(1, 9))
