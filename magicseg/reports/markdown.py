"""A comparison table as Markdown, readable rendered and as it is."""

from __future__ import annotations

from collections.abc import Sequence

from magicseg.reports.cells import Table
from magicseg.reports.layout import Entry, column_heading, layout
from magicseg.reports.settings import LETTERS

SUPERSCRIPT = str.maketrans(LETTERS, "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")
RANKS = {0: "{}", 1: "**{}**", 2: "<ins>{}</ins>"}


def to_markdown(table: Table) -> str:
    """Return the table with aligned columns, and its notes as lists."""
    lines = [["", "", *map(column_heading, table.columns)]]
    lines += [[line.label, line.title, *map(_entry, line.entries)] for line in layout(table)]
    notes = [
        line
        for heading, sentences in table.notes.items()
        for line in ("", f"**{heading}**", "", *(f"- {sentence}" for sentence in sentences))
    ]
    return "\n".join([f"## {table.heading}", "", *aligned(lines), *notes, ""])


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return a head and rows of texts as the lines of a table whose columns are readable as they are."""
    cells = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]


def _entry(entry: Entry) -> str:
    return RANKS[entry.rank].format(entry.text) + entry.mark.translate(SUPERSCRIPT) + entry.verdict
