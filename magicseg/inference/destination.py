"""The folder that predictions go to: label maps, overlays, a table of volumes, and what they were made with.

A second call goes on where the first one ended: what was made with the same settings is not made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicseg.errors import UserError
from magicseg.files import lock, read_json, write_json
from magicseg.inference.volumes import Rows, read_rows


@dataclass(frozen=True)
class Destination:
    """The files of a folder of predictions."""

    path: Path

    @property
    def labels(self) -> Path:
        """Label maps."""
        return self.path / "labels"

    @property
    def overlays(self) -> Path:
        """Pictures."""
        return self.path / "overlays"

    @property
    def volumes(self) -> Path:
        """The table of volumes."""
        return self.path / "volumes.csv"

    @property
    def settings(self) -> Path:
        """The run and the options that the label maps were made with."""
        return self.path / "settings.json"

    def overlay_of(self, target: Path) -> Path:
        """Return the picture of a label map: ``a.png`` of a.png, ``a.nii.gz.png`` of a.nii.gz."""
        return self.overlays / (target if target.suffix == ".png" else target.with_name(f"{target.name}.png"))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process segment into this folder meanwhile, as each would write its own table of volumes.

        Raises:
            UserError: another process does now.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                held = lock(stack.enter_context((self.path / ".lock").open("w")))
            except OSError:  # a file system without locks; if nothing can be written, the first file will tell
                held = True
            if not held:
                raise UserError(
                    f"Another process segments into {self.path}. Wait for it to end, or choose another output."
                )
            yield

    def open(self, settings: Mapping[str, Any], targets: set[Path], overwrite: bool) -> dict[str, Rows]:
        """Record the settings; return the rows of the label maps that hold, by file.

        Args:
            settings: what changes the label maps.
            targets: label maps that are going to be written, relative to ``labels``.
            overwrite: make them again, also those that were made with other settings.

        Raises:
            UserError: label maps are there that were made with other settings and would not be replaced.
        """
        rows = read_rows(self.volumes)
        found = {path.relative_to(self.labels) for path in self.labels.rglob("*") if path.is_file()}
        if found and (not self.settings.is_file() or read_json(self.settings) != settings):
            self._refuse_other(found if not overwrite else found - targets, overwrite)
            rows = {}
            for path in found:
                (self.labels / path).unlink()
                self.overlay_of(path).unlink(missing_ok=True)
        write_json(self.settings, settings)
        return {file: rows[file] for file in rows if (self.labels / file).is_file()}

    def _refuse_other(self, kept: set[Path], overwrite: bool) -> None:
        if not kept:
            return
        what = f"{len(kept)} label maps such as {min(kept)} that were made with another run or other options"
        if overwrite:
            raise UserError(f"{self.path} holds {what}, and this input has no image for them. Choose another output.")
        raise UserError(f"{self.path} holds {what}. Choose another output, or replace them with overwrite=true.")
