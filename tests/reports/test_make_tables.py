"""The command: a table on the screen and in files, mistakes in a paragraph."""

import pytest
from command_line import run_script
from synthetic_runs import summary, write_run

from magicseg.reports.paper_tables import table_names


@pytest.fixture
def command(capsys):
    """Return a function that runs the script and returns (exit code, stdout, stderr)."""

    def run(*arguments):
        code = run_script("make_tables.py", *arguments)
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
    assert "variant=1a2b3c4d: acdc/unet/regular (seed 1), variant=9e8d7c6b: acdc" in " ".join(error.split())
    assert command(*arguments, "variant=9e8d7c6b")[0] == 0
    assert "| 50.00 " in (tmp_path / "magic_table2.md").read_text("utf-8")


def test_the_command_mixes_adds_rows_and_compares(tmp_path, command):
    cases = {f"p{number}": {name: {"dice": 0.5} for name in ("RV", "Myo", "LV")} for number in range(6)}
    write_run(tmp_path, summary(), cases=cases)
    write_run(tmp_path, summary(conv="my_conv", variant="x"), cases=cases)
    write_run(tmp_path, summary(seed=2, variant="y"), cases=cases)
    wanted = ("mix=variant", "own_rows=conv=my_conv", "compare=my_conv")
    code, printed, _ = command("table=magic_table2", f"outputs={tmp_path}", f"destination={tmp_path}", *wanted)
    assert code == 0
    assert "| unet my_conv " in printed
    assert "| minus unet my_conv " in printed
    assert "90.00ᵃ" in printed
    assert (tmp_path / "magic_table2_comparisons.csv").is_file()


def test_all_tables_and_their_page(tmp_path, command):
    write_run(tmp_path, summary())
    write_run(tmp_path, summary(seed=2)).write_text("{")
    code, printed, error = command("table=all", f"outputs={tmp_path}", f"destination={tmp_path}")
    assert (code, printed) == (0, "")
    for name in table_names():
        for suffix in ("md", "csv", "tex"):
            assert (tmp_path / f"{name}.{suffix}").is_file()
            assert f"Wrote {tmp_path / name}.{suffix}" in error
    page = (tmp_path / "tables.html").read_text("utf-8")
    assert page.count("Left out: ") == 1
    assert "1 of 27 rows" in page


def test_a_refused_table_does_not_hide_the_others(tmp_path, command):
    write_run(tmp_path, summary())
    write_run(tmp_path, summary(seed=2, variant="9e8d7c6b"))
    write_run(tmp_path, summary("glas"))
    code, _, error = command("table=all", f"outputs={tmp_path}", f"destination={tmp_path}")
    assert code == 1
    assert "Error: 1 of 12 tables are not made; the others are. magic_table2: these runs" in " ".join(error.split())
    assert not (tmp_path / "magic_table2.md").exists()
    assert "measured, n = 1" in (tmp_path / "magic_table3.md").read_text("utf-8")
    assert "these runs differ in variant" in (tmp_path / "tables.html").read_text("utf-8")


def test_a_mistake_is_no_refused_table(tmp_path, command):
    write_run(tmp_path, summary())
    code, _, error = command("table=all", f"outputs={tmp_path}", f"destination={tmp_path}", "protocol=papr")
    assert code == 1
    assert "Unknown protocol 'papr'" in error
    assert not (tmp_path / "tables.html").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["table=magic_table9"], "Unknown table 'magic_table9'. Did you mean"),
        (["tabel=magic_table2"], "Unknown argument 'tabel'. Did you mean table"),
        ([], "Missing: table=..."),
        (["table=magic_table2", "mix=cod"], "Unknown mix 'cod'. Did you mean code"),
        (["table=magic_table2", "compare=basline"], "Unknown reference row 'basline'. Did you mean baseline"),
    ],
)
def test_the_command_explains_mistakes_in_a_paragraph(tmp_path, command, arguments, text):
    code, _, error = command(*arguments, f"outputs={tmp_path}")
    assert code == 1
    assert text in " ".join(error.split())
