"""Complexities and speeds as Markdown and as CSV."""

from __future__ import annotations

from collections.abc import Sequence

from magicseg.files import csv_text
from magicseg.reports.complexity_notes import NOTES
from magicseg.reports.complexity_tables import RULES, Entry, Section
from magicseg.reports.layout import MISSING
from magicseg.reports.markdown import aligned

MIB = 2**20


def to_markdown(sections: Sequence[Section]) -> str:
    """Return a paper's table: printed, counted, difference in percent, speeds if measured, and why they differ."""
    tables = ["\n".join([_heading(section), "", *_table(section)]) for section in sections]
    notes = [f"- {note}" for note in NOTES[sections[0].name]]
    return "\n\n".join([*tables, "\n".join(notes)]) + "\n"


def describe(section: Section) -> str:
    """Return the complexity of one network, and its speed if measured, in words."""
    entry, bench = section.entries[0], section.bench
    cost, speed = entry.cost, entry.speed
    lines = [
        f"{entry.label}, {entry.network.input}",
        f"parameters     {cost.parameters:,}",
        f"multiply-adds  {cost.macs / 1e9:.3f} G, of them kernel mixing {cost.mixing / 1e9:.3f} G",
        f"as fvcore counts, normalisation and resizing add {cost.overhead / 1e9:.3f} G",
    ]
    if speed is not None and bench is not None:
        lines += [
            f"on {bench}:",
            f"latency        {1e3 * speed.latency:.2f} ms an image",
            f"throughput     {speed.throughput:.2f} images/s in batches of {bench.batch}",
            f"peak memory    {speed.forward_memory / MIB:.0f} MiB forward, {speed.training_memory / MIB:.0f} MiB in "
            "training, of one image, beyond the weights",
        ]
    return "\n".join(lines)


def to_csv(sections: Sequence[Section]) -> str:
    """Return a line for each network: plain counts, seconds and bytes; printed cells as the paper has them."""
    records = [_record(section, entry) for section in sections for entry in section.entries]
    return csv_text(records, records[0], lineterminator="\n")


def _heading(section: Section) -> str:
    networks = [entry.network for entry in section.entries]
    backbones = {network.backbone for network in networks}
    facts = [*(backbones if len(backbones) == 1 else ()), networks[0].input]
    return f"## Complexity of {section.name}: {', '.join(facts)}"


def _table(section: Section) -> list[str]:
    lines = [_header(section), *([entry.label, *_cells(section, entry)] for entry in section.entries)]
    if section.bench is None:
        return aligned(lines)
    memory = "Memory is of one image, beyond the weights, with their gradients in training."
    return [f"Measured on {section.bench}. {memory}", "", *aligned(lines)]


def _header(section: Section) -> list[str]:
    names = ["", "M paper", "M", "%", "G paper", f"G {RULES[section.rule].heading}", "%"]
    names += [*(["G multiply-adds"] if section.rule != "macs" else []), "of them mixing"]
    if section.bench:
        names += ["ms/image", f"images/s, batch {section.bench.batch}", "MiB forward", "MiB training"]
    return names


def _cells(section: Section, entry: Entry) -> list[str]:
    cost, speed = entry.cost, entry.speed
    others = [cost.mixing] if section.rule == "macs" else [cost.macs, cost.mixing]
    cells = [
        *_beside(entry.printed.get("parameters"), cost.parameters / 1e6, 2),
        *_beside(entry.printed.get("gflops"), RULES[section.rule].count(cost) / 1e9, 3),
        *(f"{number / 1e9:.3f}" for number in others),
    ]
    if speed is not None:
        cells += [f"{1e3 * speed.latency:.2f}", f"{speed.throughput:.2f}"]
        cells += [f"{memory / MIB:.0f}" for memory in (speed.forward_memory, speed.training_memory)]
    return cells


def _beside(printed: str | None, value: float, decimals: int) -> list[str]:
    """Return the printed number, the one found here and by how many percent that is larger."""
    if printed is None:
        return [MISSING, f"{value:.{decimals}f}", MISSING]
    return [printed, f"{value:.{decimals}f}", f"{100 * (value / float(printed) - 1):+.2f}"]


def _record(section: Section, entry: Entry) -> dict[str, object]:
    network, cost, speed, bench = entry.network, entry.cost, entry.speed, section.bench
    record: dict[str, object] = {
        "table": section.name,
        "row": entry.label,
        "backbone": network.backbone,
        "conv": network.conv,
        "channels": network.channels,
        "height": network.size[0],
        "width": network.size[1],
        "classes": network.classes,
        "parameters": cost.parameters,
        "multiply_adds": cost.macs,
        "mixing": cost.mixing,
        "normalisation_and_resizing": cost.overhead,
        "rule": RULES[section.rule].heading,
        "by_rule": RULES[section.rule].count(cost),
        "paper_parameters_million": entry.printed.get("parameters", ""),
        "paper_gflops": entry.printed.get("gflops", ""),
    }
    if speed is not None and bench is not None:
        record |= {
            "measured_on": str(bench),
            "latency_seconds": speed.latency,
            "images_per_second": speed.throughput,
            "batch": bench.batch,
            "forward_bytes": speed.forward_memory,
            "training_bytes": speed.training_memory,
        }
    return record
