"""Measure speed and memory beside the published forms: ``python scripts/benchmark.py operators``."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

from magicseg.arguments import run_friendly
from magicseg.errors import UserError, choose

SUBJECTS = ("operators", "guidance", "metrics", "loading")


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark that the first argument names; the others are its own (``--help`` prints them)."""
    if not arguments or arguments[0] in ("-h", "--help"):
        raise UserError(f"Say what to measure: python scripts/benchmark.py {'|'.join(SUBJECTS)} [key=value ...]")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the memory profiler would report every start and stop
    subject = choose("benchmark", arguments[0], SUBJECTS)
    importlib.import_module(f"benchmarks.{subject}").main(arguments[1:])


if __name__ == "__main__":
    run_friendly(main)
