"""Parameters and GFLOPs as the papers print them, beside those measured here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from magicseg.errors import choose
from magicseg.reports.complexity import Complexity
from magicseg.reports.paper_tables import PaperRow, paper_table

SIZE = 256  # Table 5 says so, and Table 6 fits no other


class Setting(NamedTuple):
    """What a printed column was counted for, and by which rule (an attribute of Complexity)."""

    backbone: str
    channels: int
    classes: int
    rule: Literal["macs", "thop"]


SETTINGS = {
    "magic_table5": Setting("resnet18", 3, 9, "macs"),
    "magic_table6": Setting("unet", 1, 4, "thop"),  # the only number of channels and classes to give 54.675
}
RULES = {"macs": "multiply-adds", "thop": "as thop counts"}
NOTES = {
    "magic_table5": (
        "GFLOPs are multiply-adds of convolutions and matrix products, kernel mixing included. fvcore, which adds "
        "normalisation and resizing, gives 9.675 for ResNet 18.",
        "The paper's own increments follow no single counter: those of DYConv, CondConv and MAGIC (0.003 to 0.014) are "
        "smaller than the mixing of their kernels, that of ODConv (0.053) is larger.",
        "DYConv and CondConv have the printed parameters with a bias for each kernel (45.59, 89.29); here, as every "
        "convolution in ResNet, they have none.",
        "DCD is the published operator; no published variant has the printed parameters.",
    ),
    "magic_table6": (
        "As thop counts: a transposed convolution at the resolution of its output (four times too often), four "
        "operations for each value of a batch norm, dynamic convolutions as plain ones and their attention branches, "
        "no kernel mixing. So counted, the plain UNet has the 54.675 that the paper prints for A.1.",
        "Means and maxima are no multiply-adds, so the branches SP and CH cost next to nothing here; of the paper's "
        "0.040 for NL 0.027 are found.",
    ),
}


def compare_complexity(name: str, measure_network: Callable[[str, str, int, int], Complexity]) -> str:
    """Return a table of MAGIC as Markdown: printed, measured, difference in percent, and why they differ.

    Args:
        name: magic_table5 or magic_table6.
        measure_network: maps backbone, convolution, channels and classes to the complexity at 256 x 256.

    Raises:
        UserError: another name.
    """
    setting = SETTINGS[choose("table", name, SETTINGS)]
    lines = [_header(setting)]
    for row in paper_table(name).rows:
        if row.conv:
            printed = _printed(name, row, setting.backbone)
            cost = measure_network(setting.backbone, row.conv, setting.channels, setting.classes)
            lines.append([row.label, *_cells(printed, cost, setting.rule)])
    place = f"{setting.backbone}, {setting.channels} x {SIZE} x {SIZE}, {setting.classes} classes"
    notes = [f"- {note}" for note in NOTES[name]]
    return "\n".join([f"## Complexity of {name}: {place}", "", *_aligned(lines), "", *notes, ""])


def _printed(name: str, row: PaperRow, backbone: str) -> dict[str, str]:
    """Return the printed cells of a row by metric, of the columns that belong to the backbone."""
    columns = paper_table(name).columns
    pairs = zip(columns, row.cells, strict=True)
    return {column.metric: cell for column, cell in pairs if (column.backbone or row.backbone) == backbone}


def _header(setting: Setting) -> list[str]:
    names = ["", "M paper", "M", "%", "G paper", f"G {RULES[setting.rule]}", "%"]
    return [*names, *(["G multiply-adds"] if setting.rule != "macs" else []), "of them mixing"]


def _cells(printed: dict[str, str], cost: Complexity, rule: str) -> list[str]:
    others = [cost.mixing] if rule == "macs" else [cost.macs, cost.mixing]
    return [
        *_beside(printed.get("parameters"), cost.parameters / 1e6, 2),
        *_beside(printed["gflops"], getattr(cost, rule) / 1e9, 3),
        *(f"{number / 1e9:.3f}" for number in others),
    ]


def _beside(printed: str | None, value: float, decimals: int) -> list[str]:
    """Return the printed number, the measured one and by how many percent that is larger."""
    if printed is None:
        return ["–", f"{value:.{decimals}f}", "–"]
    return [printed, f"{value:.{decimals}f}", f"{100 * (value / float(printed) - 1):+.2f}"]


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    header, *rows = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return [header, "| " + " | ".join("-" * width for width in widths) + " |", *rows]
