"""The integrity report of a prepared data set, for people: what is there, and what looks odd; as text and as a page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from magicseg.data.case import Case
from magicseg.data.findings import Finding, findings, times
from magicseg.data.manifest import Manifest
from magicseg.data.report_page import page
from magicseg.files import write_text

REPORTS = ("report.txt", "report.html")


def write_reports(manifest: Manifest, root: Path) -> None:
    """Write ``report.txt`` and, with pictures of some cases, ``report.html`` to ``root``."""
    found = findings(manifest)
    write_text(root / "report.txt", _text(manifest, found))
    write_text(root / "report.html", page(manifest, root, totals(manifest), found))


def totals(manifest: Manifest) -> dict[str, str]:
    """Return the facts about the whole data set, each with its name."""
    cases = manifest.cases
    instances = [case.instances for case in cases if case.instances is not None]
    sizes = Counter(times(case.shape[1:]) for case in cases).most_common()
    others = f", {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
    return {
        "Data set": manifest.dataset,
        "Read from": manifest.layout,
        "Classes": ", ".join(f"{index} {name}" for index, name in enumerate(manifest.classes)),
        "Cases": f"{len(cases)} of {len({case.subject for case in cases})} subjects",
        "Slices": str(sum(case.shape[0] for case in cases)),
        "Images": "RGB" if cases[0].channels == 3 else "grey",
        "Sizes (H x W)": ", ".join(f"{size} ({count})" for size, count in sizes[:3]) + others,
        **({"Instances": str(sum(instances))} if instances else {}),
        "Data digest": manifest.digest,
    }


def _text(manifest: Manifest, found: list[Finding]) -> str:
    width = max(len(case.name) for case in manifest.cases)
    lines = [
        *[f"{name}: {value}" for name, value in totals(manifest).items()],
        "",
        "Findings",
        *[f"- {_shown(finding)}" for finding in found or [Finding("none")]],
        "",
        f"{'case':<{width}}  {'D x H x W':<16} {'spacing z, y, x (mm)':<24} {'intensity':<16} {'instances':<9} "
        "voxels of each class",
        *[f"{case.name:<{width}}  {_line(case)}" for case in manifest.cases],
    ]
    return "\n".join(lines) + "\n"


def _shown(finding: Finding) -> str:
    return f"{finding.text}: {', '.join(finding.cases)}" if finding.cases else finding.text


def _line(case: Case) -> str:
    spacing = ", ".join(f"{size:g}" for size in case.spacing) if case.spacing else "unknown"
    intensity = f"{case.intensity[0]:.4g} .. {case.intensity[1]:.4g}"
    instances = "-" if case.instances is None else str(case.instances)
    counts = " ".join(map(str, case.label_counts))
    return f"{times(case.shape):<16} {spacing:<24} {intensity:<16} {instances:<9} {counts}"
