"""The integrity report of a prepared data set, for people: what is there, and what looks odd."""

from __future__ import annotations

from magicseg.data.case import Case
from magicseg.data.manifest import Manifest


def report(manifest: Manifest) -> str:
    """Return the report: totals, problems, then a line for each case."""
    slices = sum(case.shape[0] for case in manifest.cases)
    lines = [
        f"Data set {manifest.dataset}, read from {manifest.layout}",
        f"Classes: {', '.join(f'{index} {name}' for index, name in enumerate(manifest.classes))}",
        f"{len(manifest.cases)} cases of {len({case.subject for case in manifest.cases})} subjects, {slices} slices",
        f"Data digest: {manifest.digest}",
        "",
        "Findings",
        *[f"- {finding}" for finding in _findings(manifest) or ["none"]],
        "",
        f"{'case':<24} {'D x H x W':<16} {'spacing z, y, x (mm)':<24} {'intensity':<16} voxels of each class",
        *[_line(case) for case in manifest.cases],
    ]
    return "\n".join(lines) + "\n"


def _findings(manifest: Manifest) -> list[str]:
    findings = list(manifest.notes)
    findings += [f"{name} is missing: {reason}." for name, reason in manifest.missing.items()]
    unlabelled = sum(case.unlabelled_slices for case in manifest.cases)
    if unlabelled:
        cases = sum(case.unlabelled_slices > 0 for case in manifest.cases)
        findings.append(f"{unlabelled} slices in {cases} cases have no label (background only).")
    for case in manifest.cases:
        absent = [manifest.classes[index] for index, count in enumerate(case.label_counts) if count == 0]
        if absent:
            findings.append(f"{case.name} has no voxel of {', '.join(absent)}.")
    unknown = sum(case.spacing is None for case in manifest.cases)
    if unknown:
        findings.append(f"{unknown} cases come without voxel spacing: distances can only be given in voxels.")
    return findings


def _line(case: Case) -> str:
    shape = " x ".join(map(str, case.shape))
    spacing = ", ".join(f"{size:g}" for size in case.spacing) if case.spacing else "unknown"
    intensity = f"{case.intensity[0]:.3f} .. {case.intensity[1]:.3f}"
    return f"{case.name:<24} {shape:<16} {spacing:<24} {intensity:<16} {' '.join(map(str, case.label_counts))}"
