"""A run that is killed at any moment ends with the same weights as one that is not."""

import signal
import subprocess
import sys
import time

import pytest
import torch
from command_line import ONE_THREAD, PROJECT, TINY

from magicseg.assembly.checkpoint import load_checkpoint, save_checkpoint
from magicseg.errors import UserError
from magicseg.files import read_json


def start(phantom, outputs, *overrides):
    command = [sys.executable, "train.py", *TINY, "recipe.epochs=4", "trainer.overlays=false", *overrides]
    command += [f"dataset.root={phantom}", f"outputs={outputs}"]
    return subprocess.Popen(command, cwd=PROJECT, env=ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def folder_of(outputs):
    return next(path.parent for path in outputs.rglob("status.json"))


def wait_for_epoch(outputs, process, epoch):
    """Wait until ``epoch`` epochs are recorded; return False if the process ended before."""
    while process.poll() is None:
        if any((read_json(path).get("epoch") or 0) >= epoch for path in outputs.rglob("status.json")):
            return True
        time.sleep(0.005)
    return False


def final(outputs):
    folder = folder_of(outputs)
    assert read_json(folder / "status.json")["state"] == "finished"
    return load_checkpoint(folder / "checkpoints" / "last.pt"), read_json(folder / "summary.json")["scores"]


@pytest.fixture(scope="module")
def uninterrupted(phantom, tmp_path_factory):
    outputs = tmp_path_factory.mktemp("uninterrupted")
    process = start(phantom, outputs)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return final(outputs)


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def test_killed_three_times_it_ends_with_the_same_bits(phantom, tmp_path, uninterrupted):
    kills = 0
    for epoch, delay in ((1, 0.0), (2, 0.11), (3, 0.02)):
        process = start(phantom, tmp_path)
        kills += wait_for_epoch(tmp_path, process, epoch)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert kills >= 2
    process = start(phantom, tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    checkpoint, scores = final(tmp_path)
    assert equal(checkpoint, uninterrupted[0])  # weights, optimiser, curves
    assert scores == uninterrupted[1]


def test_asked_to_stop_it_says_so_and_exits_with_143(phantom, tmp_path):
    process = start(phantom, tmp_path)
    assert wait_for_epoch(tmp_path, process, 1)
    process.terminate()
    output, _ = process.communicate()
    assert process.returncode == 143
    assert b"The same command goes on" in output
    assert read_json(folder_of(tmp_path) / "status.json")["state"] == "interrupted"


def test_workers_do_not_change_the_weights(phantom, tmp_path, uninterrupted):
    process = start(phantom, tmp_path, "trainer.workers=2")
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert equal(final(tmp_path)[0], uninterrupted[0])


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {"weight": torch.arange(4096.0)}, "epoch": 1})
    assert equal(load_checkpoint(path)["model"]["weight"], torch.arange(4096.0))
    whole = path.read_bytes()
    for position in (len(whole) // 2, len(whole) // 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(UserError, match=r"last\.pt (is damaged|cannot be read)"):
            load_checkpoint(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"last\.pt cannot be read"):
        load_checkpoint(path)
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(tmp_path / "none.pt")
