"""Markdown, CSV and LaTeX that people and other programs can read."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from synthetic_runs import fold, summary

from magicseg.reports.comparisons import with_comparisons
from magicseg.reports.latex import to_latex
from magicseg.reports.layout import number
from magicseg.reports.markdown import to_markdown
from magicseg.reports.page import Refused
from magicseg.reports.paper_tables import paper_table, table_names
from magicseg.reports.records import to_csv
from magicseg.reports.request import Request
from magicseg.reports.tables import build_table
from magicseg.reports.writers import write_page, write_table


def test_markdown_is_aligned_and_shows_missing_cells_as_such(runs):
    table = build_table("magic_table2", runs(summary(dice=0.875), summary(seed=2, dice=0.90625), summary(conv="dcd")))
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert {line.count("|") for line in lines} == {8}
    text = [re.split(r" *\| *", line.strip("| ")) for line in lines]
    assert text[0] == ["mDice ↑", "HD95 ↓", "RV ↑", "Myo ↑", "LV ↑"]
    dice = "<ins>89.06 ± 2.21</ins>"  # DCD is better, and as far in HD95
    assert text[2:6] == [
        ["UNet", "paper", "88.89", "3.31", "84.70", "86.97", "95.02"],
        ["measured, n = 2", dice, "2.00 ± 0.00", dice, dice, dice],
        ["difference", "+0.17", "-1.31", "+4.36", "+2.09", "-5.96"],
        ["UNet +DYConv (4×)", "paper; measured –", "89.48", "4.40", "86.30", "87.00", "95.13"],
    ]
    assert not any(re.search(r"\| -?\+?0\.00", line) for line in lines)


def test_a_bar_in_a_label_does_not_break_the_markdown(runs):
    table = build_table("magic_table2", [])
    text = to_markdown(replace(table, rows=(replace(table.rows[0], label="a|b"),)))
    assert r"| a\|b " in text


@pytest.mark.parametrize("name", table_names())
def test_csv_has_a_line_for_each_cell_with_the_printed_text(name):
    table = build_table(name, [])
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    printed = [cell for row in paper_table(name).rows for cell in row.cells]
    assert [record["paper"] for record in records] == printed
    assert all(record["measured_mean"] == record["measured_std"] == record["difference"] == "" for record in records)
    assert {record["n"] for record in records} == {"0"}


def test_csv_holds_exact_numbers(runs):
    table = build_table("magic_table2", runs(summary(dice=0.875), summary(seed=2, dice=0.90625)))
    first, second, *_ = csv.DictReader(io.StringIO(to_csv(table)))
    assert first == {
        "table": "magic_table2",
        "row": "UNet",
        "column": "mDice",
        "metric": "dice",
        "class": "mean",
        "dataset": "acdc",
        "backbone": "unet",
        "conv": "regular",
        "protocol": "paper",
        "unit": "percent",
        "measured_unit": "percent",
        "direction": "up",
        "paper": "88.89",
        "paper_rank": "",
        "measured_mean": "89.0625",
        "measured_std": "2.209708691",  # 3.125 / sqrt(2)
        "std_over": "seeds",
        "n": "2",
        "difference": "0.1725",
        "measured_rank": "",
        "seeds": "1 2",
        "values": "87.5 90.625",
        "folds": "",
        "mark": "",
        "budget": "full",
        "data": "feedbeeffe",
        "split": "mtunet",
        "code": "c0dec0dec0",
        "protocol_rules": first["protocol_rules"],
        "checkpoint": "best_validation_dice",
        "recipe": "2ee684ff",
        "network": "44136fa3",
        "variant": "1a2b3c4d",
    }
    assert re.fullmatch(r"transunet-[0-9a-f]{8}", first["protocol_rules"])
    assert (second["column"], second["unit"], second["direction"]) == ("HD95", "voxel", "down")
    assert re.fullmatch(r"[a-z_]+(,[a-z_]+)*", to_csv(table).splitlines()[0])


def test_csv_tells_folds_and_ranks(runs):
    contents = [fold(number, seed, dice=0.5 + number / 16) for number in range(5) for seed in (1, 2)]
    table = build_table("sgdc_table4", runs(*contents, fold(0, conv="contmix", dice=0.25)))
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    (dice,) = [record for record in records if record["conv"] == "sgdc" and record["column"] == "Dice"]
    assert (dice["folds"], dice["std_over"], dice["n"]) == ("50 56.25 62.5 68.75 75", "folds", "2")
    assert (dice["seeds"], dice["values"]) == ("1 2", "62.5 62.5")
    assert (dice["paper_rank"], dice["split"]) == ("1", "folds")


def test_csv_names_a_unit_that_is_not_the_papers(runs):
    table = build_table("magic_table2", runs(summary()), Request("strict"))
    _, second, *_ = csv.DictReader(io.StringIO(to_csv(table)))
    assert (second["unit"], second["measured_unit"], second["difference"]) == ("voxel", "mm", "")


@pytest.mark.parametrize("name", table_names())
def test_latex_is_well_formed(name):
    text = to_latex(build_table(name, []))
    plain = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert re.findall(r"\\begin{(.+?)}", text) == re.findall(r"\\end{(.+?)}", text)[::-1]
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(paper_table(name).columns) + 1}
    assert len(rows) == len(paper_table(name).rows) + 1
    assert not re.search(r"(?<!\\)[%#]", text.split("\n", 1)[1])
    assert not re.search("[×±–↑↓]", text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_and_every_table_fits_its_page(tmp_path, runs):
    results = runs(*(summary(conv=conv, seed=seed) for conv in ("regular", "dcd", "magic_4x") for seed in (1, 2)))
    tables = [with_comparisons(build_table(name, results)) for name in table_names()]
    preamble = r"\documentclass{article}\usepackage{booktabs,adjustbox}\begin{document}"
    text = "\n".join([preamble, *map(to_latex, tables), r"\end{document}"])
    (tmp_path / "tables.tex").write_text(text, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert run.returncode == 0, run.stdout[-2000:]
    assert "too large" not in run.stdout
    assert "Overfull" not in run.stdout


def test_latex_escapes_what_users_can_name(runs):
    content = summary(
        provenance={"code": "c0de", "git": {"commit": None, "dirty": None}, "device": r"A_B 50% & {x} #1 $2 ~^\<>"}
    )
    text = to_latex(build_table("magic_table2", runs(content)))
    escaped = r"A\_B 50\% \& \{x\} \#1 \$2 \textasciitilde{}\textasciicircum{}\textbackslash{}\textless{}\textgreater{}"
    assert f"Hardware: {escaped}" in text
    assert r" & difference & $+1.11$ & $-1.31$ & " in text


def test_file_names_tell_a_budget_and_a_protocol_that_are_not_the_papers(tmp_path, runs):
    results = runs(summary(), summary(seed=2, budget="cpu"))
    table = build_table("magic_table2", results)
    paths = write_table(table, tmp_path / "tables")
    assert [path.name for path in paths] == ["magic_table2.md", "magic_table2.csv", "magic_table2.tex"]
    assert [path.read_text("utf-8") for path in paths] == [to_markdown(table), to_csv(table), to_latex(table)]
    small = build_table("magic_table2", results, Request("strict", ("cpu",)))
    assert write_table(small, tmp_path)[0].name == "magic_table2_strict_cpu.md"
    assert write_page([small, Refused("magic_table3", "no")], [], tmp_path).name == "tables_strict_cpu.html"
    every = build_table("magic_table2", results, Request(budgets=("full", "cpu", "demo"), mix=frozenset({"budget"})))
    assert write_table(every, tmp_path)[0].name == "magic_table2_all_budgets.md"


def test_comparisons_have_a_file_of_their_own(tmp_path, runs):
    table = with_comparisons(build_table("magic_table2", runs(summary(), summary(conv="dcd"))))
    assert write_table(table, tmp_path)[-1].name == "magic_table2_comparisons.csv"


def test_ranks_letters_and_verdicts_in_markdown_and_latex(runs):
    results = runs(summary(dice=0.875), summary(conv="dcd", dice=0.5, variant="x"), summary(conv="dcd", seed=2))
    table = build_table("magic_table2", results, Request(mix=frozenset({"variant"})))
    assert "| **90.00**ᵃ " in to_markdown(table)
    assert "| <ins>87.50</ins> " in to_markdown(table)
    assert "| 50.00ᵇ " in to_markdown(table)
    assert r" & \textbf{90.00}$^{a}$ & " in to_latex(table)
    assert r" & \underline{87.50} & " in to_latex(table)
    assert r"& 50.00$^{b}$ &" in to_latex(table)


def test_zero_has_no_sign():
    cell = replace(build_table("magic_table2", []).rows[0].cells[0], printed="88.89")
    assert [number(value, cell, "+") for value in (-0.001, 0.001, -0.01)] == ["+0.00", "+0.00", "-0.01"]
