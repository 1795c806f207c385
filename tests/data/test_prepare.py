"""Preparing: complete or not there, restartable, and honest about what is missing or odd."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_acdc import raw_volume, scaled, write_h5, write_h5_slices, write_h5_volumes, write_official

from magicseg.data import Manifest, load_case, prepare, read_prepared
from magicseg.data.sources.source import SourceCase
from magicseg.errors import UserError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "prepare_data.py"


@pytest.fixture
def source(tmp_path):
    write_official(tmp_path / "source", 1)
    write_official(tmp_path / "source", 2)
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "prepared"


@pytest.fixture
def reads(monkeypatch):
    """Count the cases written, by name; raise KeyboardInterrupt at the name put in ``stop``."""
    module = sys.modules[prepare.__module__]
    write, written, stop = module._write, [], []

    def counted(case: SourceCase, *args):
        if case.name in stop:
            raise KeyboardInterrupt
        written.append(case.name)
        return write(case, *args)

    monkeypatch.setattr(module, "_write", counted)
    return written, stop


NAMES = [f"patient00{number}_frame0{frame}" for number in (1, 2) for frame in (1, 2)]


def go(source, root, **options):
    return prepare("acdc", source, root, allow_missing=True, quiet=True, **options)


def test_prepared_form_is_complete_and_true_to_the_source(source, root):
    manifest = go(source, root)
    assert read_prepared("acdc", root) == manifest
    assert [case.name for case in manifest.cases] == NAMES
    assert manifest.classes == ("background", "RV", "Myo", "LV")
    assert manifest.layout == "official NIfTI"
    assert manifest.verify(root) == []
    image, label = load_case(root, manifest.cases[3])
    raw, truth = raw_volume(21)
    np.testing.assert_array_equal(image, scaled(raw))
    np.testing.assert_array_equal(label, truth)
    assert manifest.cases[3].spacing == (10.0, 1.5, 1.25)
    origin = manifest.cases[3].source
    assert (origin["layout"], origin["phase"]) == ("official NIfTI", "ES")
    assert origin["files"] == ["patient002_frame12.nii.gz", "patient002_frame12_gt.nii.gz"]
    assert sorted(path.name for path in root.iterdir()) == ["cases", "manifest.json", "report.txt"]
    assert sorted(path.stem for path in (root / "cases").iterdir()) == NAMES


def test_both_layouts_give_the_same_content(source, tmp_path):
    for number in (1, 2):
        write_h5_slices(tmp_path / "h5", number)
    official, h5 = go(source, tmp_path / "a"), go(tmp_path / "h5", tmp_path / "b")
    assert [case.content for case in official.cases] == [case.content for case in h5.cases]
    assert {case.spacing for case in h5.cases} == {None}


def test_a_second_call_does_nothing_and_says_so(source, root, reads, capsys):
    first = go(source, root)
    reads[0].clear()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert prepare("acdc", source, root, allow_missing=True) == first
    assert reads[0] == []
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert "acdc was already prepared from this source; nothing to do: 4 cases, 12 slices" in capsys.readouterr().out


def test_an_interrupted_preparation_goes_on_where_it_stopped(source, root, reads):
    written, stop = reads
    stop.append(NAMES[2])
    with pytest.raises(KeyboardInterrupt):
        go(source, root)
    with pytest.raises(UserError, match="no prepared data"):
        read_prepared("acdc", root)
    stop.clear()
    written.clear()
    manifest = go(source, root)
    assert written == NAMES[2:]
    assert manifest.verify(root) == []
    assert not (root / "progress.jsonl").exists()


def test_an_interruption_changes_nothing_in_the_result(source, root, reads, tmp_path):
    reads[1].append(NAMES[1])
    with pytest.raises(KeyboardInterrupt):
        go(source, root)
    reads[1].clear()
    assert go(source, root) == go(source, tmp_path / "in_one_go")


def test_a_process_killed_while_noting_progress_loses_one_case(source, root, reads):
    written, stop = reads
    stop.append(NAMES[3])
    with pytest.raises(KeyboardInterrupt):
        go(source, root)
    stop.clear()
    written.clear()
    progress = root / "progress.jsonl"
    progress.write_bytes(progress.read_bytes()[:-30])
    assert go(source, root).verify(root) == []
    assert written == NAMES[2:]


def test_only_a_changed_case_is_prepared_again(source, root, reads):
    first = go(source, root)
    reads[0].clear()
    path = root / first.cases[1].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert first.verify(root) == [f"{path} has changed since it was prepared (its SHA-256 is not the manifest's)."]
    assert go(source, root) == first
    assert reads[0] == [NAMES[1]]
    assert first.verify(root) == []


def test_a_changed_source_file_is_read_again(source, root, reads):
    first = go(source, root)
    reads[0].clear()
    write_official(source, 2, seed=5)
    second = go(source, root)
    assert reads[0] == NAMES[2:]
    assert second.digest != first.digest


def test_while_cases_are_replaced_there_is_no_manifest(source, root, reads):
    go(source, root)
    write_official(source, 2, seed=5)
    reads[1].append(NAMES[3])
    with pytest.raises(KeyboardInterrupt):
        go(source, root)
    assert not (root / "manifest.json").exists()


def test_missing_cases_stop_the_preparation_before_it_starts(source, root):
    with pytest.raises(
        UserError, match=r"lacks 196 of the 200 cases of acdc: the patient is not there: patient003_frame01, "
    ):
        prepare("acdc", source, root, quiet=True)
    assert not root.exists()


def test_long_lists_of_missing_cases_are_cut(source, root):
    with pytest.raises(
        UserError, match=r"patient008_frame02 and 184 more\. Complete the folder, or set allow_missing=true"
    ):
        prepare("acdc", source, root, quiet=True)


def test_a_source_without_any_usable_case_is_refused(tmp_path, root):
    write_h5_slices(tmp_path / "source", 1)
    for path in (tmp_path / "source").rglob("*_slice_2.h5"):
        path.unlink()
    with pytest.raises(UserError, match=r"lacks 200 of the 200 cases.*no slice 2: patient001_frame01"):
        go(tmp_path / "source", root)


def test_missing_cases_are_in_manifest_and_report(source, root):
    manifest = go(source, root)
    assert len(manifest.missing) == 196
    assert "- patient003_frame01 is missing: the patient is not there." in (root / "report.txt").read_text()


def test_a_damaged_source_file_stops_and_what_was_done_is_kept(source, root, reads):
    path = source / "patient002/patient002_frame01.nii.gz"
    good = path.read_bytes()
    path.write_bytes(good[:-20])
    with pytest.raises(UserError, match=r"patient002_frame01\.nii\.gz is damaged"):
        go(source, root)
    path.write_bytes(good)
    reads[0].clear()
    go(source, root)
    assert reads[0] == NAMES[2:]


def test_report_lists_every_finding(tmp_path, root):
    image, label = raw_volume(0)
    write_h5(tmp_path / "h5/patient001_frame01.h5", scaled(image), label)
    label[label == 1] = 2
    label[2] = 0
    write_h5(tmp_path / "h5/patient001_frame02.h5", scaled(image), label)
    go(tmp_path / "h5", root)
    report = (root / "report.txt").read_text()
    assert "2 cases of 1 subjects, 6 slices" in report
    assert "- patient001 has 6 slices; the published lists have 20." in report
    assert "- 3 slices in 2 cases have no label (background only)." in report
    assert "- patient001_frame02 has no voxel of RV." in report
    assert "- 2 cases come without voxel spacing" in report
    line = next(line for line in report.splitlines() if line.startswith("patient001_frame02"))
    counts = " ".join(map(str, np.bincount(label.ravel(), minlength=4)))
    assert line.split(maxsplit=1)[1].split() == [
        "3",
        "x",
        "8",
        "x",
        "6",
        "unknown",
        "0.000",
        "..",
        "1.000",
        *counts.split(),
    ]


def test_report_gives_the_spacing(source, root):
    go(source, root)
    assert "10, 1.5, 1.25" in (root / "report.txt").read_text()


def test_another_data_set_in_the_same_folder_is_refused(source, root):
    go(source, root)
    with pytest.raises(UserError, match="holds the prepared data set acdc, not phantom"):
        prepare("phantom", None, root, quiet=True)
    with pytest.raises(UserError, match="holds the prepared data set acdc, not phantom"):
        read_prepared("phantom", root)


def test_unprepared_data_says_where_it_comes_from(root):
    with pytest.raises(UserError, match=r"no prepared data in .*creatis.*prepare_data\.py dataset=acdc source=FOLDER"):
        read_prepared("acdc", root)
    with pytest.raises(
        UserError, match=r"The phantom needs no download: python scripts/prepare_data\.py dataset=phantom"
    ):
        read_prepared("phantom", root)


def test_unknown_data_set_gives_the_nearest(root):
    with pytest.raises(UserError, match=r"Unknown data set 'fantom'. Did you mean phantom\?"):
        prepare("fantom", None, root)


def test_the_phantom_is_prepared_without_a_source(phantom):
    manifest = read_prepared("phantom", phantom)
    assert (len(manifest.cases), sum(case.shape[0] for case in manifest.cases)) == (60, 480)
    assert manifest.verify(phantom) == []


def command(monkeypatch, capsys, *arguments):
    """Run the script and return its exit code and what it printed, in one line."""
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", *map(str, arguments)])
    code = 0
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    return code, " ".join((printed.out + printed.err).split())


def test_the_script_prepares_and_verifies(tmp_path, monkeypatch, capsys):
    write_h5_volumes(tmp_path / "source", 1)
    monkeypatch.chdir(tmp_path)
    code, text = command(monkeypatch, capsys, "dataset=acdc", "source=source", "allow_missing=true")
    assert (code, "acdc is prepared: 2 cases, 6 slices in data/prepared/acdc" in text) == (0, True)
    code, text = command(monkeypatch, capsys, "dataset=acdc", "verify=true")
    assert (code, text) == (0, "acdc: all 2 case files in data/prepared/acdc are as prepared.")


def test_the_script_verifies_to_the_bitter_end(tmp_path, monkeypatch, capsys):
    write_h5_volumes(tmp_path / "source", 1)
    manifest = go(tmp_path / "source", tmp_path / "root")
    (tmp_path / "root" / manifest.cases[0].file).unlink()
    code, text = command(monkeypatch, capsys, "dataset=acdc", f"root={tmp_path / 'root'}", "verify=true")
    assert code == 1
    assert "patient001_frame01.npz is missing. Prepare the data again" in text


def test_a_manifest_is_plain_json(source, root):
    go(source, root)
    content = json.loads((root / "manifest.json").read_text())
    assert content["cases"][0]["name"] == NAMES[0]
    assert isinstance(Manifest.read(root).cases[0].shape, tuple)
