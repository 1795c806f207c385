"""Write a paper's table with measured numbers: ``python scripts/make_tables.py table=magic_table2``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.reports.results import load_results
from magicseg.reports.tables import build_table
from magicseg.reports.writers import to_markdown, write_table


@dataclass
class Options:
    """Compare finished runs with a paper's table: print it, and write it as Markdown, CSV and LaTeX.

    table: magic_table1 to magic_table7, sgdc_table1 to sgdc_table5.
    outputs: the folder that holds the runs.
    protocol: which of a run's scores to show (paper, strict).
    budget: which runs to show (full, cpu, demo); they are never mixed.
    destination: the folder for the files.
    variant, data, split, code: which runs to take where those of one row differ; several with commas.
    """

    table: str = MISSING
    outputs: Path = Path("outputs")
    protocol: str = "paper"
    budget: str = "full"
    destination: Path = Path("outputs/tables")
    variant: str = ""
    data: str = ""
    split: str = ""
    code: str = ""


def main(arguments: Sequence[str]) -> None:
    """Read the runs, build the table, print and write it."""
    options = parse(Options, arguments)
    unreadable: list[str] = []
    results = load_results(options.outputs, report=unreadable.append)
    chosen = {"variant": options.variant, "data": options.data, "split": options.split, "code": options.code}
    choices = {name: values.split(",") for name, values in chosen.items() if values}
    table = build_table(options.table, results, options.protocol, options.budget, choices)
    table = replace(table, notes=(*table.notes, *unreadable))
    print(to_markdown(table))
    for path in write_table(table, options.destination):
        print(f"Wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    run_friendly(main)
