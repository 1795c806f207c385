"""What identifies the code behind a number."""

import pytest

from magicseg import runs


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("losses.py", True),
        ("ops/sobel.py", True),
        ("convs/reports/own.py", True),
        ("reports/tables.py", False),
        ("inference/scan.py", False),
        ("ops/notes.txt", False),
    ],
)
def test_the_code_is_every_source_that_can_change_a_number(tmp_path, monkeypatch, file, counts):
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "runs.py"))
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a = 1")
    before = runs.code_digest()
    path.write_text("a = 2")
    assert (runs.code_digest() != before) == counts
    changed = runs.code_digest()
    path.rename(path.with_name(f"renamed{path.suffix}"))
    assert (runs.code_digest() != changed) == counts
