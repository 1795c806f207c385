"""A comparison table as LaTeX."""

from __future__ import annotations

import re

from magicseg.reports.cells import Table
from magicseg.reports.layout import Entry, Line, column_heading, layout

ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
}
RANKS = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}


def to_latex(table: Table) -> str:
    """Return a table* environment (needs booktabs and adjustbox) and its notes as text, which may break over pages."""
    header = " & ".join(escape(text) for text in ["", "", *map(column_heading, table.columns)])
    notes = [
        line
        for heading, sentences in table.notes.items()
        for line in (rf"\textbf{{{escape(heading)}.}}", *(f"{escape(sentence)}\\par" for sentence in sentences))
    ]
    lines = [
        r"% needs \usepackage{booktabs,adjustbox}",
        r"\begin{table*}",
        rf"\caption{{{escape(table.heading)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\centering",
        r"\begin{adjustbox}{max width=\linewidth, max totalheight=0.85\textheight}",
        rf"\begin{{tabular}}{{ll{'l' * len(table.columns)}}}",
        r"\toprule",
        rf"{header} \\",
        r"\midrule",
        *map(_line, layout(table)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{adjustbox}",
        r"\end{table*}",
        r"\begingroup\raggedright\footnotesize\noindent",
        *notes,
        r"\endgroup",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return ``text`` as LaTeX prints it."""
    return "".join(ESCAPES.get(character, character) for character in text)


def _line(line: Line) -> str:
    return " & ".join([escape(line.label), escape(line.title), *map(_entry, line.entries)]) + r" \\"


def _entry(entry: Entry) -> str:
    text = re.sub(r"[+-][\d.]+", r"$\g<0>$", escape(entry.text))  # signs are minus signs, not hyphens
    raised = entry.mark + entry.verdict.replace("†", r"\dagger").replace("‡", r"\ddagger")
    return RANKS[entry.rank].format(text) + (f"$^{{{raised}}}$" if raised else "")
