"""How a run ends is written down: finished, failed with the reason, or interrupted by a signal."""

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
def recorded(folder: RunFolder) -> Iterator[None]:
    """Record in status.json that the run is running, and how it stopped if it did not finish."""
    previous = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    folder.set_status("running", **_progress(folder))
    try:
        yield
    except Interrupted as stop:
        folder.set_status("interrupted", **_progress(folder), reason=f"exit code {stop.code}")
        print(f"\nInterrupted. The same command goes on after the last whole epoch; see {folder.status_file}.")
        raise
    except Exception as error:
        folder.set_status("failed", **_progress(folder), reason=f"{type(error).__name__}: {error}")
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _progress(folder: RunFolder) -> dict[str, int]:
    return {key: value for key, value in folder.status().items() if key in ("epoch", "epochs")}
