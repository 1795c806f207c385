"""The command: a table on the screen and in files, mistakes in a paragraph."""

import runpy
import sys
from pathlib import Path

import pytest
from synthetic_runs import summary, write_run

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_tables.py"


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs the script and returns (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_tables.py", *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def test_the_command_prints_and_writes_a_table_and_names_what_it_could_not_read(tmp_path, command):
    write_run(tmp_path, summary())
    broken = write_run(tmp_path, summary(seed=2))
    broken.write_text("{")
    code, printed, _ = command("table=magic_table2", f"outputs={tmp_path}", f"destination={tmp_path / 'tables'}")
    written = (tmp_path / "tables" / "magic_table2.md").read_text("utf-8")
    assert code == 0
    assert printed.strip() == written.strip()
    assert f"- Left out: {broken} cannot be read as JSON" in written


def test_the_command_takes_choices(tmp_path, command):
    write_run(tmp_path, summary())
    write_run(tmp_path, summary(seed=2, dice=0.5, variant="9e8d7c6b"))
    arguments = ("table=magic_table2", f"outputs={tmp_path}", f"destination={tmp_path}")
    code, _, error = command(*arguments)
    assert code == 1
    assert "variant=1a2b3c4d (seed 1), variant=9e8d7c6b (seed 2)" in " ".join(error.split())
    assert command(*arguments, "variant=9e8d7c6b")[0] == 0
    assert "| 50.00 " in (tmp_path / "magic_table2.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["table=magic_table9"], "Unknown table 'magic_table9'. Did you mean"),
        (["tabel=magic_table2"], "Unknown argument 'tabel'. Did you mean table"),
        ([], "Missing: table=..."),
    ],
)
def test_the_command_explains_mistakes_in_a_paragraph(tmp_path, command, arguments, text):
    code, _, error = command(*arguments, f"outputs={tmp_path}")
    assert code == 1
    assert text in " ".join(error.split())
