"""The list of runs by state."""

import pytest
from command_line import call

from magicseg.errors import UserError
from magicseg.files import write_json, write_text
from magicseg.reports.status import count_states, describe, duration, find_runs, log_tail, main, read_state
from magicseg.runs import RunFolder


@pytest.fixture
def outputs(tmp_path):
    """Four runs: one that finished, one that failed in its second session, one that was killed, and a broken one."""
    done, failed, killed, broken = (RunFolder(tmp_path / "acdc" / "unet" / "dcd" / name) for name in "abcd")
    write_json(done.summary, {})
    done.set_status("finished", epoch=8, epochs=8)
    failed.set_status("failed", epoch=3, epochs=8, reason="UserError: The loss\nis nan")
    write_text(
        failed.log, "=== 2026-01-01\ntrain.py\nold words\n=== 2026-01-02\ntrain.py seed=1\n\nnew words\nlast words\n"
    )
    killed.set_status("running")
    write_text(broken.status_file, "{")
    return tmp_path


def test_states_reasons_and_log_tails_are_told(outputs):
    lines = describe([read_state(folder) for folder in find_runs(outputs)]).splitlines()
    assert lines[0] == f"finished            8/8  {outputs}/acdc/unet/dcd/a"
    assert lines[1] == f"failed              3/8  {outputs}/acdc/unet/dcd/b: UserError: The loss is nan"
    assert lines[2:5] == ["    | === 2026-01-02", "    | new words", "    | last words"]
    assert lines[5].startswith(
        f"failed                -  {outputs}/acdc/unet/dcd/d: {outputs}/acdc/unet/dcd/d/status.json"
    )
    assert lines[6] == f"killed                -  {outputs}/acdc/unet/dcd/c: its process ended without a word"
    assert lines[7] == "4 runs: 1 finished, 2 failed, 1 killed"


def test_a_finished_run_without_scores_has_failed(tmp_path):
    folder = RunFolder(tmp_path)
    folder.set_status("finished")
    assert read_state(folder).state == "failed"
    assert read_state(folder).reason == "summary.json is missing"


def test_of_a_long_log_only_the_end_is_read(tmp_path):
    folder = RunFolder(tmp_path)
    assert log_tail(folder) == []
    write_text(
        folder.log, "=== 2026-01-01\ntrain.py\n" + "word " * 10_000 + "\n" + "".join(f"{n}\n" for n in range(20))
    )
    assert log_tail(folder)[-3:] == ["17", "18", "19"]
    assert len(log_tail(folder)) == 7


def test_nothing_to_count():
    assert count_states([]) == "0 runs"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (12.4, "12 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (4000, "1 h 7 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_command_lists_the_runs(outputs, tmp_path):
    result = call("scripts/make_tables.py", "status", f"outputs={outputs}")
    assert result.returncode == 0, result.stderr
    assert "4 runs: 1 finished, 2 failed, 1 killed" in result.stdout
    with pytest.raises(UserError, match=r"is not a folder\. Name the folder that holds the runs with outputs=DIR"):
        main([f"outputs={tmp_path / 'nowhere'}"])
