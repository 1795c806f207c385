"""The prepared form of a data set: a folder with ``cases/<case>.npz`` and a manifest that is written last.

A folder with a manifest is complete: preparing writes it only after every case.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from magicseg.data.case import Case
from magicseg.errors import UserError
from magicseg.files import digest, read_json, sha256, write_json

FILE = "manifest.json"


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
        """Hash of the data: names, image and label values, spacing. The same on every machine."""
        return digest([[case.name, case.content, case.spacing] for case in self.cases])

    @classmethod
    def read(cls, root: Path, advice: str = "Prepare the data first.") -> Manifest:
        """Return the manifest in ``root``.

        Raises:
            UserError: there is none (``advice`` then says how to get one), or it cannot be understood.
        """
        path = root / FILE
        if not path.is_file():
            raise UserError(f"There is no prepared data in {root}: {FILE} does not exist. {advice}")
        content = read_json(path)
        try:
            return cls(
                dataset=content["dataset"],
                classes=tuple(content["classes"]),
                layout=content["layout"],
                cases=tuple(Case.from_json(entry) for entry in content["cases"]),
                missing=dict(content["missing"]),
                notes=tuple(content["notes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path} is not a manifest of prepared data ({error}). Delete it and prepare again."
            ) from error

    def write(self, root: Path) -> None:
        """Write ``root/manifest.json`` atomically."""
        write_json(root / FILE, {**asdict(self), "digest": self.digest})

    def verify(self, root: Path) -> list[str]:
        """Return one line for each case file in ``root`` that is missing or whose bytes have changed."""
        problems = []
        for case in self.cases:
            path = root / case.file
            if not path.is_file():
                problems.append(f"{path} is missing.")
            elif sha256(path) != case.sha256:
                problems.append(f"{path} has changed since it was prepared (its SHA-256 is not the manifest's).")
        return problems
