"""SGDC and SGE beside their published forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import published_guidance
from benchmarks.timing import Case, compare


def main(arguments: Sequence[str] = ()) -> None:
    """Print times, peak memory and ratios for the blocks and their dearest steps."""
    compare({name: named(build) for name, build in published_guidance.cases().items()}, arguments)


def named(build: Callable[[], published_guidance.Case]) -> Callable[[], Case]:
    """Return a builder that gives the two forms the names under which they are printed."""

    def build_named() -> Case:
        case = build()
        return {"published": case.published, "magicseg": case.ours}, case.inputs

    return build_named
