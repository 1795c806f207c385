"""What the documentation shows: its commands, code, links and names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from command_line import PROJECT

PAGES = [*(PROJECT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((PROJECT / "docs").glob("*.md"))]
SHELL = "sh"
COMMAND = re.compile(r"(python3?|make|pip|pytest|tensorboard|export|\.venv/bin/\S+) ")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


class Command(NamedTuple):
    """A command line, and the first page that shows it."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(*found) for found in _FENCE.findall(page.read_text())]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """Return what stands between backticks in the text of a page."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def commands() -> list[Command]:
    """Return every command line of the documentation once, in blocks and in the text."""
    found: dict[str, Command] = {}
    for page in PAGES:
        lines = [line for block in blocks(page) if block.language == SHELL for line in _lines(block.text)]
        for text in [*lines, *(span for span in spans(page) if COMMAND.match(f"{span} "))]:
            found.setdefault(text, Command(page.name, text))
    return list(found.values())


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for command in line.partition(" #")[0].split("&&"):
            if command.strip():
                yield " ".join(command.split())


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and pictures that are not addresses of the web."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return what a link can name within a page: its headings, in small letters and with hyphens."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def rows(page: Path, head: str) -> list[list[str]]:
    """Return the cells of a page's table whose head begins with ``head``."""
    lines = page.read_text().split(f"| {head} ", 1)[1].splitlines()[2:]
    end = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]
