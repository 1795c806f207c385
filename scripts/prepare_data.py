"""Prepare a data set: python scripts/prepare_data.py dataset=acdc source=FOLDER."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.data import prepare
from magicseg.data.prepare import verify_prepared

ALIASES = {"isic2017": "isic"}


@dataclass
class Arguments:
    """Prepare a data set for training, or check one that was prepared.

    dataset: name of the data set, e.g. acdc or phantom (isic2017 is isic)
    source: folder, or zip or tar archive, with the data as downloaded; the phantom needs none
    root: folder of the prepared form; data/prepared/<dataset> if not given
    verify: only check every byte of the prepared cases against their manifest
    allow_missing: prepare what is there, even if cases are missing
    workers: number of processes; if not given one for every 100 cases, at most 8 or the number of processors
    """

    dataset: str = MISSING
    source: Path | None = None
    root: Path | None = None
    verify: bool = False
    allow_missing: bool = False
    workers: int | None = None


def main(argv: Sequence[str]) -> None:
    """Prepare or verify as the ``key=value`` arguments say."""
    arguments = parse(Arguments, argv)
    dataset = ALIASES.get(arguments.dataset, arguments.dataset)
    root = arguments.root or Path("data/prepared") / dataset
    if arguments.verify:
        manifest = verify_prepared(dataset, root)
        print(f"{dataset}: all {len(manifest.cases)} case files in {root} are as prepared.")
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was unpacked is removed
        prepare(dataset, arguments.source, root, arguments.allow_missing, workers=arguments.workers)


if __name__ == "__main__":
    run_friendly(main)
