"""Parameters and GFLOPs as the papers print them, beside those counted, and speeds beside those measured, here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from magicseg.errors import choose
from magicseg.reports.complexity import Complexity
from magicseg.reports.latency import Bench, Speed
from magicseg.reports.paper_tables import PaperRow, paper_table

SIZE = (256, 256)  # Table 5 of MAGIC and section 4.1 of SGDC say so, and Table 6 of MAGIC fits no other


class Rule(NamedTuple):
    """How a printed column was counted."""

    heading: str
    count: Callable[[Complexity], int]


RULES = {
    "macs": Rule("multiply-adds", lambda cost: cost.macs),
    "thop": Rule("as thop counts", lambda cost: cost.macs - cost.mixing + cost.thop_surplus),
    "fvcore": Rule("as fvcore counts, no mixing", lambda cost: cost.macs - cost.mixing + cost.overhead),
}


class Setting(NamedTuple):
    """What a printed column was counted for, and by which rule; without a backbone, each row names its own."""

    backbone: str | None
    channels: int
    classes: int
    rule: str


SETTINGS = {
    "magic_table5": (Setting("resnet18", 3, 9, "fvcore"),),
    "magic_table6": (
        Setting("unet", 1, 4, "thop"),  # the only number of channels and classes to give 54.675
        Setting("transunet", 1, 1, "fvcore"),  # one logit comes nearest
    ),
    "sgdc_table2": (Setting(None, 3, 1, "macs"),),
}


class Network(NamedTuple):
    """A network by its names, and the images [channels, *size] that it is counted for; one class is a single logit."""

    backbone: str
    conv: str
    channels: int
    classes: int
    size: tuple[int, int]

    @property
    def input(self) -> str:
        """Images and classes in words."""
        images = " x ".join(map(str, (self.channels, *self.size)))
        return f"{images}, {f'{self.classes} classes' if self.classes > 1 else 'one logit'}"


@dataclass(frozen=True)
class Entry:
    """A network under its label, the cells printed for it by metric, what it costs and how fast it is."""

    label: str
    network: Network
    printed: Mapping[str, str]
    cost: Complexity
    speed: Speed | None = None


@dataclass(frozen=True)
class Section:
    """Networks compared with each other: a column of a paper's table, or networks of the user's choice."""

    name: str
    rule: str
    entries: Sequence[Entry]
    bench: Bench | None = None


Count = Callable[[Network], Complexity]
Time = Callable[[Mapping[str, Network]], Mapping[str, Speed]]


def compare_complexity(name: str, count: Count) -> list[Section]:
    """Return what a paper's table prints and what is counted here, a section for each column of GFLOPs.

    Raises:
        UserError: it is no table with complexities.
    """
    settings = SETTINGS[choose("table", name, SETTINGS)]
    return [Section(name, setting.rule, [_entry(*row, count) for row in _rows(name, setting)]) for setting in settings]


def with_speed(section: Section, bench: Bench, time: Time) -> Section:
    """Return the section with speeds, which ``time`` measures of all its networks in turn."""
    speeds = time({entry.label: entry.network for entry in section.entries})
    entries = [replace(entry, speed=speeds[entry.label]) for entry in section.entries]
    return replace(section, entries=entries, bench=bench)


def _entry(label: str, network: Network, printed: Mapping[str, str], count: Count) -> Entry:
    return Entry(label, network, printed, count(network))


def _rows(name: str, setting: Setting) -> list[tuple[str, Network, dict[str, str]]]:
    """Return label, network and printed cells of the rows that can be built here."""
    rows = []
    for row in paper_table(name).rows:
        backbone = setting.backbone or row.backbone
        if backbone and row.conv:
            network = Network(backbone, row.conv, setting.channels, setting.classes, SIZE)
            rows.append((row.label, network, _printed(name, row, backbone)))
    return rows


def _printed(name: str, row: PaperRow, backbone: str) -> dict[str, str]:
    """Return the printed cells of a row by metric, of the columns that belong to the backbone."""
    columns = paper_table(name).columns
    pairs = zip(columns, row.cells, strict=True)
    return {column.metric: cell for column, cell in pairs if (column.backbone or row.backbone) == backbone}
