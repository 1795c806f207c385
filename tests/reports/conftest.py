"""Runs on disk, and the results read from them."""

import pytest
from synthetic_runs import write_run

from magicseg.reports.results import load_results


@pytest.fixture
def runs(tmp_path):
    """Return a function that writes summaries as runs and returns all results."""

    def load(*contents):
        for number, content in enumerate(contents):
            write_run(tmp_path, content, name=f"{content['variant']}-s{content['seed']}-{number}")
        return load_results(tmp_path, pytest.fail)

    return load
