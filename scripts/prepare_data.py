"""Prepare a data set: python scripts/prepare_data.py dataset=acdc source=FOLDER."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.data import prepare, read_prepared
from magicseg.errors import UserError


@dataclass
class Arguments:
    """Prepare a data set for training, or check one that was prepared.

    dataset: name of the data set, e.g. acdc or phantom
    source: folder with the data as downloaded; the phantom needs none
    root: folder of the prepared form; data/prepared/<dataset> if not given
    verify: only check the prepared files against their manifest
    allow_missing: prepare what is there, even if cases are missing
    """

    dataset: str = MISSING
    source: Path | None = None
    root: Path | None = None
    verify: bool = False
    allow_missing: bool = False


def main(argv: Sequence[str]) -> None:
    """Prepare or verify as the ``key=value`` arguments say."""
    arguments = parse(Arguments, argv)
    root = arguments.root or Path("data/prepared") / arguments.dataset
    if arguments.verify:
        verify(arguments.dataset, root)
    else:
        prepare(arguments.dataset, arguments.source, root, arguments.allow_missing)


def verify(dataset: str, root: Path) -> None:
    """Say that every prepared file is as the manifest says, or raise UserError with those that are not."""
    manifest = read_prepared(dataset, root)
    if problems := manifest.verify(root):
        raise UserError(f"{' '.join(problems)} Prepare the data again: only these cases will be written.")
    print(f"{dataset}: all {len(manifest.cases)} case files in {root} are as prepared.")


if __name__ == "__main__":
    run_friendly(main)
