"""One style for all figures: small sans-serif text that stays text, few lines, colours told apart by everyone."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import IO, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from magicseg.files import write_atomic
from magicseg.reports.overlays import COLOURS

INK, GREY = "#222222", "#666666"
MARKERS = "os^Dv<>Pp*"
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.5)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (5, 1.5, 1, 1.5, 1, 1.5)),
    (0, (9, 3)),
    (0, (1, 4)),
    (0, (9, 2, 3, 2)),
)
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "text.color": INK,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,  # text stays text that can be searched and edited
}

# yellow is lost on white; Paul Tol's wine, indigo and olive follow, so that a paper's whole list has a colour each
_DYNAMIC = (*(colour for colour in COLOURS if colour != "#f0e442"), "#882255", "#332288", "#999933")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, laid out so that nothing overlaps and pictures lie close together."""
    figure = Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def line_colours(convs: Iterable[str]) -> dict[str, str]:
    """Return a colour for each convolution, in the order of their names; the regular one is black."""
    dynamic = sorted(set(convs) - {"regular"})
    return {"regular": INK} | {conv: _DYNAMIC[index % len(_DYNAMIC)] for index, conv in enumerate(dynamic)}


def add_note(figure: Figure, text: str) -> None:
    """Write what a reader must know in small letters below a figure."""
    lines = textwrap.wrap(text, width=int(21 * figure.get_figwidth()))
    figure.supxlabel("\n".join(lines), fontsize=6.5, color=GREY, x=0.5, ha="center", linespacing=1.4)


@matplotlib.rc_context(STYLE)
def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write STEM.png (200 dpi) and STEM.pdf (vector text); return both paths.

    The same figure gives the same bytes: no date is written.

    Raises:
        UserError: the folder cannot be written to.
    """
    paths = []
    for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=200, bbox_inches="tight", pad_inches=0.04, metadata=metadata)
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        write_atomic(paths[-1], partial(_copy, buffer))
    return paths


def _copy(buffer: io.BytesIO, file: IO[bytes]) -> None:
    file.write(buffer.getvalue())
