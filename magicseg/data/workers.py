"""The same work on many items, in several processes where that is worth their start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from magicseg.errors import UserError

MOST = 8
WORTH_A_WORKER = 100  # items: a process takes about half a second to start

Item = TypeVar("Item")
Result = TypeVar("Result")


def work(function: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None) -> Iterator[Result]:
    """Yield ``function(item)`` for all items, as they get done.

    ``workers`` processes share the work; left out, one for every 100 items, at most 8 or the number of processors. With
    one, all is done in this process. Otherwise function and items must be picklable.

    Raises:
        UserError: ``workers`` is below 1, or a process was killed; besides, what ``function`` raises.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers={workers}: allowed are whole numbers from 1.")
    workers = min(workers or min(_processors(), MOST, -(-len(items) // WORTH_A_WORKER)), len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _watch_parent)
    try:
        with _blocked_interrupts():
            futures = [pool.submit(function, item) for item in items]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A worker process ended unexpectedly, perhaps for lack of memory. What is finished is kept: start again, "
            "with fewer workers (workers=1 needs no other process)."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait; processes started meanwhile never see it, so that the parent alone answers to it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch_parent() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
