"""Write a table with measured numbers: ``python scripts/make_tables.py table=magic_table2``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.errors import UserError, choose
from magicseg.reports import status
from magicseg.reports.cells import Table
from magicseg.reports.comparisons import with_comparisons
from magicseg.reports.markdown import to_markdown
from magicseg.reports.own_rows import own_tables
from magicseg.reports.page import Refused
from magicseg.reports.paper_tables import table_names
from magicseg.reports.request import CHOICES, parse_request
from magicseg.reports.results import load_results
from magicseg.reports.tables import build_table
from magicseg.reports.writers import write_page, write_table


@dataclass
class Options:
    """Compare finished runs, with a paper's table or among themselves: print and write it (Markdown, CSV, LaTeX).

    make_tables.py status [outputs=DIR] lists the runs by their state instead.

    table: magic_table1 to magic_table7, sgdc_table1 to sgdc_table5, or all, which also writes tables.html; or e.g.
        own_acdc: all that was run on a data set, also on one's own (own_folder).
    outputs: the folder that holds the runs.
    protocol: which of a run's scores to show (paper, strict, or a protocol's name).
    budget: which runs to show (full, cpu, demo); full, or all of them with mix=budget.
    destination: the folder for the files.
    variant, recipe, network, data, split, code: which runs to take where they differ; several with commas.
    mix: what may differ within a table and is then marked: true, or some of budget, data, split, code, protocol,
        checkpoint, recipe, network, variant, with commas. Runs that differ are never averaged.
    own_rows: rows that are not the paper's: all, or e.g. "conv=dcd2,my_conv backbone=unet".
    compare: baseline, a row's label or a convolution: compares the rows with it subject by subject.
    """

    table: str = MISSING
    outputs: Path = Path("outputs")
    protocol: str = "paper"
    budget: str = ""
    destination: Path = Path("outputs/tables")
    variant: str = ""
    recipe: str = ""
    network: str = ""
    data: str = ""
    split: str = ""
    code: str = ""
    mix: str = ""
    own_rows: str = ""
    compare: str = ""


def main(arguments: Sequence[str]) -> None:
    """Read the runs, build the tables, print and write them; or list the runs by their state."""
    if list(arguments[:1]) == ["status"]:
        status.main(arguments[1:])
        return
    options = parse(Options, arguments)
    choices = {name: getattr(options, name) for name in CHOICES}
    request = parse_request(options.protocol, options.budget, options.mix, options.own_rows, **choices)
    unreadable: list[str] = []
    results = load_results(options.outputs, report=unreadable.append)
    choose("table", options.table, ["all", *table_names(), *own_tables(results)])
    request.check(results)

    def make(name: str) -> Table:
        table = build_table(name, results, request)
        return with_comparisons(table, options.compare) if options.compare else table

    if options.table == "all":
        write_all(make, unreadable, options.destination)
        return
    table = make(options.table).with_notes("Not shown", unreadable)
    print(to_markdown(table))
    tell(write_table(table, options.destination))


def write_all(make: Callable[[str], Table], unreadable: Sequence[str], folder: Path) -> None:
    """Write every table, and the page with all; a refused one does not hide the others, and is told at the end."""
    tables: list[Table | Refused] = []
    for name in table_names():
        try:
            tables.append(make(name))
        except UserError as error:
            tables.append(Refused(name, str(error)))
    for table in tables:
        if isinstance(table, Table):
            tell(write_table(table.with_notes("Not shown", unreadable), folder))
    tell([write_page(tables, unreadable, folder)])
    refused = [table.reason for table in tables if isinstance(table, Refused)]
    if refused:
        raise UserError(f"{len(refused)} of {len(tables)} tables are not made; the others are. {' '.join(refused)}")


def tell(paths: Sequence[Path]) -> None:
    """Say what was written."""
    for path in paths:
        print(f"Wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    run_friendly(main)
