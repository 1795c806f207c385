"""A process a run, so many at a time, limited in time and memory; however one ends, it is written down."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from magicseg.reports.status import duration, log_tail, read_state
from magicseg.runs import RunHeldError
from magicseg.training.child import HELD, Order, work
from magicseg.training.interruption import stopping_on_signals
from magicseg.training.keys import GPUS, POSITIVE, whole
from magicseg.training.sweep import SweepRun

GRACE = 20.0
"""Seconds that a run gets to write down where it was, from being asked to stop until it is killed."""

PRELOADED = ["magicseg.training.run", "magicseg.losses"]
"""What runs import; the losses only when they train."""


class Limits(NamedTuple):
    """What runs may use: how many at a time, minutes and gigabytes each, and the GPUs that they take turns on."""

    n_jobs: int = 1
    timeout_min: float | None = None
    memory_gb: float | None = None
    gpus: Sequence[int] | None = None

    def check(self) -> None:
        """Refuse limits that no run can keep; UserError names the key."""
        whole(1).check("hydra.launcher.n_jobs", self.n_jobs)
        POSITIVE.or_null().check("hydra.launcher.timeout_min", self.timeout_min)
        POSITIVE.or_null().check("hydra.launcher.memory_gb", self.memory_gb)
        GPUS.or_null().check("hydra.launcher.gpus", self.gpus)


@dataclass
class Worker:
    """The process of a run."""

    index: int
    run: SweepRun
    slot: int
    process: BaseProcess
    deadline: float
    began: float = field(default_factory=time.monotonic)
    stopping: bool = False
    late: bool = False

    def stop(self) -> None:
        """Ask the run to note where it is and to end; kill it if it was asked before."""
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL if self.stopping else signal.SIGTERM)
        self.stopping, self.deadline = True, time.monotonic() + GRACE

    def end_children(self) -> None:
        """Kill what the run started and left behind when it ended."""
        if self.process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Processes:
    """Runs waiting for a process, and the processes of those that are on."""

    def __init__(self, runs: Sequence[SweepRun], limits: Limits) -> None:
        limits.check()
        self.limits = limits
        self.total = len(runs)
        self.waiting = deque(enumerate(runs))
        self.workers: list[Worker] = []
        self.problems: list[str | None] = [None] * len(runs)
        self.context = get_context("forkserver")  # it imports PyTorch once, before any run, and never touches a GPU
        self.context.set_forkserver_preload(PRELOADED)

    def run(self) -> list[str | None]:
        """Run all; return what went wrong with each, None where nothing did.

        SIGTERM and SIGINT stop the runs that are on, as they stop a run that is started alone; no other one is started.
        """
        with stopping_on_signals():
            self._import()
            try:
                while self.waiting or self.workers:
                    self._start()
                    self._wait()
            finally:
                self._stop()
        return self.problems

    def _import(self) -> None:
        """Wait until the server has imported PyTorch, so that no run's time pays for it."""
        first = self.context.Process(target=os.getpid)
        first.start()
        first.join()

    def _start(self) -> None:
        """Start waiting runs while there is room; leave out what others finished or work on."""
        while self.waiting and len(self.workers) < self.limits.n_jobs:
            index, run = self.waiting.popleft()
            if not run.to_do:
                self._tell(index, run, "finished elsewhere")
            elif run.folder.held():
                self._tell(index, run, "another process works on it")
            else:
                self._start_worker(index, run)

    def _start_worker(self, index: int, run: SweepRun) -> None:
        slot = min(set(range(self.limits.n_jobs)) - {worker.slot for worker in self.workers})
        gpu = self.limits.gpus[slot % len(self.limits.gpus)] if self.limits.gpus else None
        order = Order(run.config, run.folder, run.overrides, self.limits.memory_gb, gpu)
        process = self.context.Process(target=work, args=(order,))
        process.start()
        minutes = self.limits.timeout_min
        deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes
        self.workers.append(Worker(index, run, slot, process, deadline))
        self._tell(index, run, "started")

    def _wait(self) -> None:
        """Wait for the next end of a run or of its time."""
        if not self.workers:
            return
        until = min(worker.deadline for worker in self.workers) - time.monotonic()
        sentinels = [worker.process.sentinel for worker in self.workers]
        connection.wait(sentinels, None if until == float("inf") else max(0, until))
        for worker in list(self.workers):
            if not worker.process.is_alive():
                self._end(worker)
            elif time.monotonic() >= worker.deadline:
                worker.late = worker.late or not worker.stopping
                worker.stop()

    def _end(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.process.join()
        worker.end_children()
        code = worker.process.exitcode
        if worker.run.config.mode == "train" and code != HELD:
            settle(worker, self.limits)
        state = "another process works on it" if code == HELD else read_state(worker.run.folder).state
        if code not in (0, HELD):
            self.problems[worker.index] = _last_words(worker)
        self._tell(worker.index, worker.run, f"{state} after {duration(time.monotonic() - worker.began)}")

    def _stop(self) -> None:
        """Stop what is still on, because this process was asked to stop or cannot go on."""
        for worker in self.workers:
            worker.stop()
        while self.workers:
            self._wait()

    def _tell(self, index: int, run: SweepRun, what: str) -> None:
        print(f"[{index + 1:{len(str(self.total))}}/{self.total}] {run.folder.path}: {what}", flush=True)


def settle(worker: Worker, limits: Limits) -> None:
    """Write down how a run ended whose process could not do so itself; do nothing where it could."""
    folder, code = worker.run.folder, worker.process.exitcode or 0
    with suppress(RunHeldError), folder.lock():  # another process goes on with the run: then it is not over
        status = folder.status()
        own = status.get("pid") == worker.process.pid
        if folder.finished():
            return
        if worker.late:
            folder.set_status("timeout", reason=f"longer than hydra.launcher.timeout_min={limits.timeout_min:g}")
        elif own and status["state"] not in ("running", "finished"):
            return
        elif code < 0:
            name = signal.Signals(-code).name
            hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
            folder.set_status("killed", reason=f"ended by {name}{hint}")
        else:
            folder.set_status("failed", reason=_last_words(worker))


def _last_words(worker: Worker) -> str:
    said = log_tail(worker.run.folder)[1:]
    return f"exit code {worker.process.exitcode}{': ' + said[-1] if said else ''}"
