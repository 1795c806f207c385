"""Which runs are finished, running, failed, and why: one line a run, and the end of its log where it did not finish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from magicseg.arguments import parse
from magicseg.errors import UserError, choose
from magicseg.runs import RunFolder, find_folders

STATES = ("finished", "running", "new", "refused", "interrupted", "failed", "killed", "timeout", "out of memory")
"""``refused`` is never written down: a sweep does not start what cannot work."""
STOPPED = STATES[4:]
"""States of runs that did not come to their end; the same command goes on with them."""
SESSION = "=== "
"""How the first line of each session begins in a run's log."""


@dataclass(frozen=True)
class RunState:
    """How a run stands: its state, the epochs that are done, and why it stopped."""

    folder: RunFolder
    state: str
    epochs: str
    reason: str

    def line(self) -> str:
        """Return the run as one line of a table."""
        reason = f": {' '.join(self.reason.split())}" if self.reason else ""
        return f"{self.state:13} {self.epochs:>9}  {self.folder.path}{reason}"


def read_state(folder: RunFolder) -> RunState:
    """Return how a run stands; one whose status cannot be read has failed."""
    try:
        status = folder.state()
        epochs = f"{status.get('epoch', 0)}/{status['epochs']}" if "epochs" in status else "-"
        return RunState(folder, choose("state", status["state"], STATES), epochs, str(status.get("reason", "")))
    except (UserError, KeyError, TypeError, AttributeError) as error:
        return RunState(folder, "failed", "-", f"{folder.status_file} cannot be read ({error})")


def find_runs(outputs: Path) -> list[RunFolder]:
    """Return all runs below a folder, ordered by path.

    Raises:
        UserError: ``outputs`` is not a folder.
    """
    return find_folders(outputs, "status.json")


def count_states(states: Iterable[RunState]) -> str:
    """Return e.g. "40 runs: 30 finished, 10 failed"."""
    counts = Counter(state.state for state in states)
    parts = [f"{counts[name]} {name}" for name in STATES if counts[name]]
    total = counts.total()
    return f"{total} run{'s' * (total != 1)}" + (f": {', '.join(parts)}" if parts else "")


def log_tail(folder: RunFolder, lines: int = 6) -> list[str]:
    """Return the last lines of a run's log, below the line that says when that session began."""
    if not folder.log.is_file():
        return []
    with folder.log.open("rb") as file:
        file.seek(max(0, folder.log.stat().st_size - 20_000))
        text = file.read().decode(errors="replace")
    begin = max(0, text.rfind(SESSION))
    said = [line[:200] for line in text[begin:].splitlines() if line.strip()]
    return [*said[:1], *said[2:][-lines:]]  # between them is the command


def describe(states: Sequence[RunState]) -> str:
    """Return one line a run by state, the end of the log below those that did not finish, and the count."""
    lines = []
    for state in sorted(states, key=lambda state: STATES.index(state.state)):
        lines.append(state.line())
        if state.state in STOPPED:
            lines += [f"    | {line}" for line in log_tail(state.folder)]
    return "\n".join([*lines, count_states(states)])


def duration(seconds: float | None) -> str:
    """Return e.g. "2 h 5 min", "3 min 20 s" or "12 s"; "unknown" for None."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


@dataclass
class Options:
    """List the runs below a folder by their state, with the reason and the log's end where one did not finish.

    outputs: the folder that holds the runs.
    """

    outputs: Path = Path("outputs")


def main(arguments: Sequence[str]) -> None:
    """Print the state of every run below a folder."""
    print(describe([read_state(folder) for folder in find_runs(parse(Options, arguments).outputs)]))
