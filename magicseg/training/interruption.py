"""How a run ends is written down: finished, failed with the reason, out of memory, or interrupted by a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from magicseg.runs import RunFolder


class Interrupted(SystemExit):
    """A signal asked the process to stop; the exit code is 128 + the signal's number."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted(128 + number)


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT raise Interrupted."""
    previous = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def recorded(folder: RunFolder) -> Iterator[None]:
    """Record in status.json that the run is running, and how it stopped if it did not finish."""
    with stopping_on_signals():
        folder.set_status("running")
        try:
            yield
        except Interrupted as stop:
            folder.set_status("interrupted", reason=f"exit code {stop.code}")
            print(f"\nInterrupted. The same command goes on after the last whole epoch; see {folder.status_file}.")
            raise
        except SystemExit as stop:
            folder.set_status("failed", reason=f"exit code {stop.code}")
            raise
        except Exception as error:
            state = "out of memory" if any(map(_lacks_memory, _causes(error))) else "failed"
            folder.set_status(state, reason=f"{type(error).__name__}: {error}")
            raise


def _lacks_memory(error: BaseException) -> bool:
    """Return whether an error says that the CPU's or the GPU's memory ran out; PyTorch says so in several ways."""
    said = f"{type(error).__name__}: {error}"
    return "MemoryError" in said or "can't allocate memory" in said


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
