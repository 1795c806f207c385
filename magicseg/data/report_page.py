"""The integrity report as one self-contained HTML page: no scripts, no other files, pictures inside."""

from __future__ import annotations

import base64
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import TypeVar

from magicseg.data.case import Case
from magicseg.data.findings import Finding, times
from magicseg.data.manifest import Manifest
from magicseg.data.thumbnails import COLOURS, thumbnail
from magicseg.errors import shortened

MOST_PICTURES, MOST_ODD = 100, 80  # pictures in all, and of cases with findings

_STYLE = """
:root { --ink: #1d2733; --soft: #5b6875; --line: #dde3e9; --ground: #f6f8fa; --card: #fff; --warn: #b45309; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --soft: #9aa7b4; --line: #2e3842; --ground: #12171c; --card: #1a2129; --warn: #f0a848; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 32px 24px 64px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 12px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 16px 0 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 20px; }
li { margin: 4px 0; }
.legend span { display: inline-block; margin: 0 16px 4px 0; white-space: nowrap; }
.legend i { display: inline-block; width: 12px; height: 12px; margin-right: 6px; border-radius: 3px; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(224px, 1fr)); gap: 16px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
figure img { display: block; width: 100%; height: 224px; object-fit: contain; background: #000; }
figcaption { padding: 8px 12px 10px; font-size: 13px; line-height: 1.4; overflow-wrap: anywhere; }
figcaption small { display: block; color: var(--soft); }
.odd { color: var(--warn); }
.table { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; border-top: 0; }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left; }
td:last-child { white-space: normal; }
"""

Item = TypeVar("Item")


def page(manifest: Manifest, root: Path, totals: dict[str, str], findings: list[Finding]) -> str:
    """Return the page: totals, findings, pictures of up to 100 cases (those with findings first), and a table of all.

    Raises:
        UserError: a case that is to be shown is not in ``root`` as the manifest says.
    """
    odd: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        for name in finding.cases:
            odd[name].append(finding.text)
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in totals.items())
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(manifest.dataset)}: integrity report</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>Integrity report: {escape(manifest.dataset)}</h1>",
            f"<dl>{facts}</dl>",
            "<h2>Findings</h2>",
            f"<ul>{''.join(_item(finding) for finding in findings) or '<li>none</li>'}</ul>",
            *_galleries(manifest, root, odd),
            _table(manifest, odd),
            "</body></html>\n",
        ]
    )


def _item(finding: Finding) -> str:
    return f"<li>{escape(f'{finding.text}: {shortened(finding.cases)}' if finding.cases else finding.text)}</li>"


def _galleries(manifest: Manifest, root: Path, odd: dict[str, list[str]]) -> list[str]:
    striking = _evenly([case for case in manifest.cases if case.name in odd], MOST_ODD)
    others = _evenly([case for case in manifest.cases if case.name not in odd], MOST_PICTURES - len(striking))
    parts = []
    for title, cases in (("Cases with findings", striking), ("Other cases, evenly chosen", others)):
        if cases:
            figures = "\n".join(_figure(root, case, odd.get(case.name, [])) for case in cases)
            parts += [f"<h2>{title} ({len(cases)})</h2>", _legend(manifest), f'<div class="gallery">{figures}</div>']
    return parts


def _evenly(items: list[Item], most: int) -> list[Item]:
    """Return at most ``most`` items, from the first to the last at equal distances."""
    if len(items) <= most:
        return items
    return [items[round(position * (len(items) - 1) / (most - 1))] for position in range(most)]


def _legend(manifest: Manifest) -> str:
    entries = "".join(
        f'<span><i style="background:{COLOURS[index % len(COLOURS)]}"></i>{escape(name)}</span>'
        for index, name in enumerate(manifest.classes[1:])
    )
    return f'<p class="legend">{entries}</p>'


def _figure(root: Path, case: Case, texts: list[str]) -> str:
    data = base64.b64encode(thumbnail(root, case)).decode()
    facts = times(case.shape) + (f", {case.instances} instances" if case.instances is not None else "")
    odd = f'<small class="odd">{escape("; ".join(texts))}</small>' if texts else ""
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{escape(case.name)}" loading="lazy">'
        f"<figcaption>{escape(case.name)}<small>{facts}</small>{odd}</figcaption></figure>"
    )


def _table(manifest: Manifest, odd: dict[str, list[str]]) -> str:
    heads = ["Case", "D x H x W", "Spacing z, y, x (mm)", "Intensity", "Instances", *manifest.classes, "Findings"]
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    rows = "\n".join(_row(case, odd.get(case.name, [])) for case in manifest.cases)
    return f'<h2>All cases</h2>\n<div class="table"><table><tr>{head}</tr>\n{rows}</table></div>'


def _row(case: Case, texts: list[str]) -> str:
    cells = [
        escape(case.name),
        times(case.shape),
        ", ".join(f"{size:g}" for size in case.spacing) if case.spacing else "unknown",
        f"{case.intensity[0]:.4g} to {case.intensity[1]:.4g}",
        "" if case.instances is None else str(case.instances),
        *map(str, case.label_counts),
        escape("; ".join(texts)),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
