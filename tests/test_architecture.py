"""Imports go down only, and the lower floors know nothing of Hydra, files or runs."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "magicseg"

# docs/architecture.md draws the same house
FLOORS = [
    {"errors"},
    {"ops", "metrics", "losses", "seeding", "files", "arguments"},
    {"convs", "guidance", "data", "runs"},
    {"models"},
    {"assembly"},
    {"evaluation", "reports"},
    {"inference", "training"},
]
PURE = ("ops", "convs", "guidance", "models", "metrics", "losses")
FORBIDDEN_IN_PURE = {"hydra", "omegaconf", "yaml", "h5py", "nibabel", "pathlib", "magicseg.files", "magicseg.runs"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor(name: str) -> int:
    return next(index for index, rooms in enumerate(FLOORS) if name in rooms)


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    own = room(path)
    used = {name.split(".")[1] for name in imported(path) if name.startswith("magicseg.")} - {own}
    upward = {name for name in used if floor(name) >= floor(own)}
    assert not upward, f"{own} (floor {floor(own)}) imports {upward}"


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) in PURE], ids=lambda path: str(path.name))
def test_lower_floors_know_nothing_of_configuration_or_files(path):
    found = {name for name in imported(path) for bad in FORBIDDEN_IN_PURE if name == bad or name.startswith(f"{bad}.")}
    assert not found


def test_no_module_is_longer_than_400_lines():
    assert not {str(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 400}


def test_no_assert_outside_tests():
    asserting = [
        path
        for path in [*MODULES, *(PROJECT / "scripts").rglob("*.py"), PROJECT / "train.py"]
        if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text())))
    ]
    assert not asserting
