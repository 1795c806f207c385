from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from omegaconf import MISSING

from magicseg.arguments import parse, run_friendly
from magicseg.errors import UserError, choose, nearest


@dataclass
class Arguments:
    """Make something."""

    table: str = MISSING
    outputs: Path = Path("outputs")
    seeds: int = 3
    verify: bool = False


def test_values_take_their_types():
    arguments = parse(Arguments, ["table=magic_table2", "outputs=a b/ü", "seeds=5", "verify=true"])
    assert arguments == Arguments("magic_table2", Path("a b/ü"), 5, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel=x"], r"Unknown argument 'tabel'. Did you mean table\? Allowed: outputs, seeds, table, verify"),
        (["x"], r"Argument 'x' is not of the form key=value. Usage: table=... \[outputs=outputs\]"),
        ([], r"Missing: table=..."),
        (["table=a", "seeds=many"], r"Value 'many'.*argument seeds"),
    ],
)
def test_mistakes_are_explained(arguments, message):
    with pytest.raises(UserError, match=message):
        parse(Arguments, arguments)


def test_help_prints_docstring_and_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(Arguments, ["--help"])
    assert stop.value.code == 0
    assert "Make something." in capsys.readouterr().out


def test_a_user_error_is_one_paragraph_and_exit_code_1(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script"])

    def main(arguments):
        raise UserError("The file a.png is empty.")

    with pytest.raises(SystemExit) as stop:
        run_friendly(main)
    assert stop.value.code == 1
    assert capsys.readouterr().err == "\nError: The file a.png is empty.\n"


def test_nearest_names_come_first():
    assert nearest("magic4x", ["regular", "magic_4x"]) == "Did you mean magic_4x? Allowed: magic_4x, regular."
    assert choose("conv", "regular", ["regular"]) == "regular"
    with pytest.raises(UserError, match=r"Unknown conv 'x'\. Allowed: regular\."):
        choose("conv", "x", ["regular"])
