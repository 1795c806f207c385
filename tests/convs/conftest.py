from __future__ import annotations

import golden_files


def pytest_terminal_summary(terminalreporter):
    golden_files.report(terminalreporter)
