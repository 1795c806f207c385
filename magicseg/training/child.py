"""What the process of one run of a sweep does."""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
import threading
from typing import NamedTuple

from omegaconf import DictConfig
from tqdm import tqdm

from magicseg.arguments import paragraph
from magicseg.errors import UserError
from magicseg.reports.status import SESSION
from magicseg.runs import RunFolder, RunHeldError, now

HELD = 75
"""Exit code of a run that another process works on."""


class Order(NamedTuple):
    """A run, and what its process may use."""

    config: DictConfig
    folder: RunFolder
    overrides: tuple[str, ...]
    memory_gb: float | None
    gpu: int | None


def work(order: Order) -> None:
    """Train one run; what it prints goes into its log."""
    os.setsid()  # signals for the sweep do not reach it, and what it starts can be ended with it
    sys.argv = ["train.py", *order.overrides]  # for the provenance: the command that does the same
    _write_to(order.folder)
    faulthandler.enable()
    tqdm.set_lock(threading.RLock())  # its own would leave a semaphore behind when the process is killed
    if order.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(order.gpu)
    if order.memory_gb is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (int(order.memory_gb * 1e9),) * 2)
    order.config.trainer.progress = False  # a bar is for the eye
    sys.exit(_run(order))


def _write_to(folder: RunFolder) -> None:
    """Let everything that this process prints go to the end of the run's log."""
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.log.open("a") as log:
        log.write(f"{SESSION}{now()}\n{' '.join(sys.argv)}\n")
        log.flush()
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _run(order: Order) -> int:
    from magicseg.training import run

    try:
        run.run(order.config, order.overrides)
    except UserError as error:
        print(paragraph(error), file=sys.stderr)
        return HELD if isinstance(error, RunHeldError) else 1
    return 0
