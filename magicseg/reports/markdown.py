"""A comparison table as Markdown, readable rendered and as it is."""

from __future__ import annotations

from magicseg.reports.cells import Table
from magicseg.reports.layout import Entry, column_heading, layout
from magicseg.reports.settings import LETTERS

SUPERSCRIPT = str.maketrans(LETTERS, "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")
RANKS = {0: "{}", 1: "**{}**", 2: "<ins>{}</ins>"}


def to_markdown(table: Table) -> str:
    """Return the table with aligned columns, and its notes as lists."""
    lines = [["", "", *map(column_heading, table.columns)]]
    lines += [[line.label, line.title, *map(_entry, line.entries)] for line in layout(table)]
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    rows = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    notes = [
        line
        for heading, sentences in table.notes.items()
        for line in ("", f"**{heading}**", "", *(f"- {sentence}" for sentence in sentences))
    ]
    return "\n".join([f"## {table.heading}", "", *rows, *notes, ""])


def _entry(entry: Entry) -> str:
    return RANKS[entry.rank].format(entry.text) + entry.mark.translate(SUPERSCRIPT) + entry.verdict
