"""The run folder: where it is, what lies in it, and who may write to it.

``outputs/<dataset>/<backbone>/<conv>/<variant>-s<seed>/`` where ``variant`` is a hash of everything that changes the
numbers. The same configuration therefore always finds the same folder: finished runs are not run again, interrupted
ones go on.
"""

from __future__ import annotations

import fcntl
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from magicseg.errors import UserError
from magicseg.files import digest, lock, read_json, remove_unfinished, sha256, write_json

PACKAGES = ("magicseg", "torch", "torchvision", "timm", "monai", "numpy", "scipy", "hydra-core", "medpy", "nibabel")

PROGRESS = ("epoch", "epochs", "seconds")
"""What a status tells of the training, and every later status too."""

GO_ON = "Delete it, and the run's own command goes on with what is there."
"""What helps where a record of a run is damaged: all that it says is found or made again from the checkpoints."""

NUMBERLESS = ("inference", "reports")
"""What makes predictions, tables and pictures of a run does not change it."""


class RunHeldError(UserError):
    """Another process works on the run."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """Code, packages, data and hardware."""
        return self.path / "provenance.json"

    @property
    def status_file(self) -> Path:
        """State, epoch and reason."""
        return self.path / "status.json"

    @property
    def log(self) -> Path:
        """What the run printed when a sweep started it."""
        return self.path / "run.log"

    @property
    def curves(self) -> Path:
        """Loss, learning rate and validation scores of each epoch."""
        return self.path / "curves.csv"

    @property
    def last(self) -> Path:
        """Checkpoint after the last epoch."""
        return self.path / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch with the best validation score."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def predictions(self) -> Path:
        """Predicted label maps on the original grid, one npz a case."""
        return self.path / "predictions"

    @property
    def overlays(self) -> Path:
        """Pictures."""
        return self.path / "overlays"

    @property
    def cases(self) -> Path:
        """Scores of each case and class."""
        return self.path / "cases.csv"

    @property
    def summary(self) -> Path:
        """Scores of the run."""
        return self.path / "summary.json"

    def status(self) -> dict[str, Any]:
        """Return the recorded status; ``{"state": "new"}`` for a run that never started.

        Raises:
            UserError: the file is damaged.
        """
        if not self.status_file.is_file():
            return {"state": "new"}
        status = read_json(self.status_file)
        if not isinstance(status, dict) or "state" not in status:
            raise UserError(f"{self.status_file} is not the status of a run (it has no state). {GO_ON}")
        return status

    def finished(self) -> bool:
        """Return whether the run has ended with scores."""
        return self.status()["state"] == "finished" and self.summary.is_file()

    def state(self) -> dict[str, Any]:
        """Return the status as it is now: a run whose process ended without a word is killed, not running."""
        status = self.status()
        if self.held():
            return {**status, "state": "running"}
        if status["state"] == "running":
            return {**status, "state": "killed", "reason": "its process ended without a word"}
        if status["state"] == "finished" and not self.summary.is_file():
            return {**status, "state": "failed", "reason": f"{self.summary.name} is missing"}
        return status

    def set_status(self, state: str, **details: Any) -> None:
        """Record a state: running, interrupted, failed, out of memory, timeout, killed or finished.

        The ``PROGRESS`` that was recorded before stays where ``details`` has none.
        """
        progress = {key: value for key, value in self.status().items() if key in PROGRESS}
        process = {"pid": os.getpid(), "host": socket.gethostname(), "time": now()}
        write_json(self.status_file, {"state": state, **progress, **details, **process})

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; the operating system lets go when the process ends, however it ends.

        What a process that was killed left half written is deleted.

        Raises:
            RunHeldError: another process works on this run now.
            UserError: the folder cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("w")
        except OSError as error:
            raise UserError(
                f"Cannot write to the run folder {self.path}: {error.strerror}. Choose another with outputs=DIR."
            ) from error
        with file:
            if not lock(file):
                raise RunHeldError(
                    f"Another process works on {self.path} (status.json names it). Wait for it or stop it."
                )
            remove_unfinished(self.path)
            yield

    def held(self) -> bool:
        """Return whether a process works on the run now."""
        try:
            with (self.path / ".lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def run_folder(
    outputs: Path, dataset: str, backbone: str, conv: str, settings: Mapping[str, Any], seed: int
) -> RunFolder:
    """Return the folder of the run that ``settings`` (everything that changes the numbers but the seed) describe."""
    return RunFolder(outputs / dataset / backbone / conv / f"{digest(settings, 8)}-s{seed}")


def find_folders(outputs: Path, file: str) -> list[RunFolder]:
    """Return the run folders below ``outputs`` that hold ``file``, ordered by path.

    What lies inside a run (thousands of predictions) is not looked at.

    Raises:
        UserError: ``outputs`` is not a folder.
    """
    if not outputs.is_dir():
        raise UserError(f"{outputs} is not a folder. Name the folder that holds the runs with outputs=DIR.")
    found = []
    for folder, folders, files in os.walk(outputs):
        if file in files:
            folders.clear()
            found.append(Path(folder))
    return [RunFolder(path) for path in sorted(found)]


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def git_state() -> dict[str, Any]:
    """Return the commit of the code and whether it was changed since; None outside a git checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def code_digest() -> str:
    """Return a hash of the source files that can change a number: all but what only uses them."""
    package = Path(__file__).parent
    files = sorted(path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in NUMBERLESS)
    return digest([[str(path.relative_to(package)), sha256(path)] for path in files])


def sources() -> dict[str, Any]:
    """Return what tells the sources that run now from others: their hash, and the state of their checkout."""
    return {"code": code_digest(), "git": git_state()}


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Return what a number depends on besides its configuration: code, packages, command and hardware."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        **sources(),
        "packages": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "cpu_threads": threads,
        "command": " ".join(sys.argv),
        "started": now(),
    }
