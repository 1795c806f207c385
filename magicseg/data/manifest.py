"""The prepared form of a data set: a folder with ``cases/<case>.npz`` and a manifest that is written last.

A folder with a manifest is complete: preparing writes it only after every case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from magicseg.data.case import Case
from magicseg.errors import UserError
from magicseg.files import digest, read_json, sha256, write_text

FILE = "manifest.json"
OWN = "folder"  # the data set that is the user's own


@dataclass(frozen=True)
class Manifest:
    """What a prepared folder holds.

    ``classes`` are the names of the labels 0, 1, ...; ``layout`` is the form of the source that was found; ``missing``
    tells why each case that the data set has and this folder has not is absent; ``notes`` are findings for the user.
    """

    dataset: str
    classes: tuple[str, ...]
    layout: str
    cases: tuple[Case, ...]
    missing: dict[str, str]
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Hash of the data: names, image and label values, spacing. The same on every machine.

        In one's own data also the part that lists or folders give a case, which may change while the images do not.
        """
        parts = {
            case.name: [case.source["part"]] for case in self.cases if self.dataset == OWN and "part" in case.source
        }
        return digest([[case.name, case.content, case.spacing, *parts.get(case.name, [])] for case in self.cases])

    @classmethod
    def read(cls, root: Path, advice: str = "Prepare the data first.") -> Manifest:
        """Return the manifest in ``root``.

        Raises:
            UserError: there is none (``advice`` then says how to get one), it cannot be understood, or it is not as it
                was written.
        """
        path = root / FILE
        if not path.is_file():
            raise UserError(f"There is no prepared data in {root}: {FILE} does not exist. {advice}")
        content = read_json(path)
        try:
            checksum = content.pop("checksum")
            manifest = cls._from_json(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path} is not a manifest of prepared data ({error}). Delete it and prepare again."
            ) from error
        if checksum != digest(content):
            raise UserError(f"{path} has been changed since it was written. Delete it and prepare again.")
        return manifest

    @classmethod
    def _from_json(cls, content: dict[str, Any]) -> Manifest:
        return cls(
            dataset=content["dataset"],
            classes=tuple(content["classes"]),
            layout=content["layout"],
            cases=tuple(Case.from_json(entry) for entry in content["cases"]),
            missing=dict(content["missing"]),
            notes=tuple(content["notes"]),
        )

    def write(self, root: Path) -> None:
        """Write ``root/manifest.json`` atomically."""
        write_text(root / FILE, self._text())

    def _text(self) -> str:
        content = {**asdict(self), "digest": self.digest}
        return json.dumps({**content, "checksum": digest(content)}, indent=2, allow_nan=False) + "\n"

    def merged(self, name: str) -> Manifest:
        """Return the manifest of the same cases with one class, ``name``, in place of all but the background."""
        cases = tuple(case.merge_classes() for case in self.cases)
        return replace(self, classes=(self.classes[0], name), cases=cases)

    def verify(self, root: Path) -> list[str]:
        """Return one line for each file of manifest and cases in ``root`` that is not, byte for byte, as written."""
        return [*self._changes(root), *self._strangers(root)]

    def _changes(self, root: Path) -> Iterator[str]:
        if (root / FILE).read_bytes() != self._text().encode():
            yield f"{root / FILE} is not as it was written."
        for case in self.cases:
            path = root / case.file
            if not path.is_file():
                yield f"{path} is missing."
            elif sha256(path) != case.sha256:
                yield f"{path} has changed since it was prepared (its SHA-256 is not the manifest's)."

    def _strangers(self, root: Path) -> Iterator[str]:
        known = {root / case.file for case in self.cases}
        for path in sorted((root / "cases").rglob("*")):
            if path not in known:
                yield f"{path} is not in the manifest."
