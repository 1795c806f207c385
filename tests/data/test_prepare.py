"""Preparing: complete or not there, restartable, and honest about what is missing or odd."""

import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_acdc import raw_volume, scaled, write_h5_slices, write_nifti, write_official
from tiny_folder import write_set
from tiny_preparing import NAMES, go
from tiny_sources import SOURCES

from magicseg.data import Manifest, load_case, load_instances, prepare, read_prepared
from magicseg.data.prepare import verify_prepared
from magicseg.data.sources import FORMATS
from magicseg.data.sources.source import DatasetFormat, Source, SourceCase, Volume
from magicseg.errors import UserError


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
    assert sorted(path.name for path in root.iterdir()) == [
        "cases",
        "manifest.json",
        "report.html",
        "report.txt",
        "stamp.txt",
    ]
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
    assert (
        "- missing (the patient is not there): patient003_frame01, patient003_frame02,"
        in (root / "report.txt").read_text()
    )


def test_subjects_with_other_slices_than_published_are_noted(source, root):
    volume = np.arange(10 * 4 * 3, dtype=np.int16).reshape(10, 4, 3)
    for name in ("patient002_frame01", "patient002_frame12"):  # 20 slices together, as published
        write_nifti(source / f"patient002/{name}.nii.gz", volume)
        write_nifti(source / f"patient002/{name}_gt.nii.gz", volume % 4)
    assert go(source, root).notes == ("patient001 has 6 slices; the published lists have 20.",)


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


def touch(folder):
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))


def test_new_times_alone_change_nothing(source, root, reads):
    first = go(source, root)
    reads[0].clear()
    touch(source)
    touch(root)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.*") if path.name != "stamp.txt"}
    assert go(source, root) == first
    assert reads[0] == []
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_moved_source_is_the_same_source(source, root, reads, capsys):
    go(source, root)
    source.rename(source.with_name("elsewhere"))
    prepare("acdc", source.with_name("elsewhere"), root, allow_missing=True)
    assert "nothing to do" in capsys.readouterr().out


def test_nothing_is_read_the_second_time(source, root, monkeypatch):
    first = go(source, root)
    monkeypatch.setitem(FORMATS, "acdc", replace(FORMATS["acdc"], find=None))
    monkeypatch.setattr(SourceCase, "fingerprint", None)
    assert go(source, root) == first


def test_a_new_file_in_the_source_is_seen(source, root):
    assert len(go(source, root).cases) == 4
    write_official(source, 3)
    assert len(go(source, root).cases) == 6


def test_cases_that_are_gone_from_the_source_are_removed(source, root):
    go(source, root)
    shutil.rmtree(source / "patient002")
    (root / "cases/.patient001_frame01.npz.k3l1").touch()  # of a process that was killed while it wrote
    manifest = go(source, root)
    assert sorted(path.stem for path in (root / "cases").iterdir()) == NAMES[:2]
    assert manifest.verify(root) == []


def test_missing_cases_are_an_error_the_second_time_too(source, root):
    go(source, root)
    with pytest.raises(UserError, match="lacks 196 of the 200 cases"):
        prepare("acdc", source, root, quiet=True)
    assert go(source, root).verify(root) == []


def test_a_deleted_report_is_written_again(source, root):
    go(source, root)
    (root / "report.html").unlink()
    go(source, root)
    assert (root / "report.html").is_file()


def spoil(path):
    """Change a byte as a failing disk does: size and time stay."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_spoiled_byte_is_found_and_mended(source, root, reads):
    manifest = go(source, root)
    reads[0].clear()
    path = root / manifest.cases[2].file
    spoil(path)
    with pytest.raises(UserError, match=f"{path} has changed since it was prepared.*only these cases will be written"):
        verify_prepared("acdc", root)
    go(source, root)
    assert reads[0] == [NAMES[2]]
    assert verify_prepared("acdc", root) == manifest


def test_several_workers_prepare_the_same(source, root, tmp_path):
    assert go(source, root, workers=2) == go(source, tmp_path / "alone", workers=1)
    assert verify_prepared("acdc", root).cases


def test_an_error_in_a_worker_is_shown_as_it_is(source, root):
    path = source / "patient002/patient002_frame01.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=f"^{path} is damaged"):
        go(source, root, workers=2)
    assert not (root / "manifest.json").exists()


def test_a_folder_that_cannot_be_read_is_named(source, root, monkeypatch):
    closed, scan = source / "patient002", os.scandir

    def scandir(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=rf"^{closed} cannot be read \(Permission denied\)\. Make it readable"):
        go(source, root)
    assert not root.exists()


def test_parts_that_are_given_later_count(source, root):
    write_set(source / "own", names=("a", "b"))
    assert [case.source.get("part") for case in prepare("folder", source / "own", root, quiet=True).cases] == [None] * 2
    (source / "own/train.txt").write_text("a\n")
    (source / "own/test.txt").write_text("b\n")
    manifest = prepare("folder", source / "own", root, quiet=True)
    assert [case.source["part"] for case in manifest.cases] == ["train", "test"]


def test_names_of_classes_that_are_given_later_count(source, root, reads):
    write_set(source / "own", names=("a", "b"))
    assert prepare("folder", source / "own", root, quiet=True).classes == ("background", "class_1")
    (source / "own/classes.txt").write_text("background\ncell\n")
    prepare("folder", source / "own", root, quiet=True)
    assert read_prepared("folder", root).classes == ("background", "cell")
    assert reads[0] == ["a", "b"]  # each once


def test_a_link_to_a_folder_above_does_no_harm(source, root):
    (source / "again").symlink_to(source, target_is_directory=True)
    go(source, root)


def test_what_no_one_foresaw_names_the_case(source, root, monkeypatch):
    monkeypatch.setattr(SourceCase, "fingerprint", lambda _: 1 / 0)
    with pytest.raises(
        UserError, match=r"patient001_frame01 cannot be read from .*_gt\.nii\.gz: ZeroDivisionError: div"
    ):
        go(source, root)


def made_up(monkeypatch, *names, **facts):
    volume = Volume(np.zeros((1, 4, 4), np.uint8), np.eye(4, dtype=np.uint8)[None] * 2, instances=np.eye(4)[None] * 9)
    cases = [SourceCase(name, name, (), "made up", lambda: volume) for name in names]
    found = Source("made up", cases, **facts)
    monkeypatch.setitem(FORMATS, "folder", DatasetFormat((), lambda folder: found, "none"))


def test_a_source_may_bring_its_classes_and_instances(root, monkeypatch):
    made_up(monkeypatch, "a", "b", classes=("background", "cat", "dog"))
    manifest = prepare("folder", None, root, quiet=True)
    assert manifest.classes == ("background", "cat", "dog")
    assert manifest.cases[0].label_counts == (12, 0, 4)
    np.testing.assert_array_equal(load_instances(root, manifest.cases[0])[0], np.eye(4))
    assert manifest.cases[0].source["unmatched_pixels"] == 0


def test_the_classes_that_were_found_are_printed(root, monkeypatch, capsys):
    made_up(monkeypatch, "a", "b", classes=("background", "cat", "dog"))
    prepare("folder", None, root)
    assert capsys.readouterr().out == (
        f"folder is prepared: 2 cases, 2 slices in {root} (from made up).\nClasses: 0 background, 1 cat, 2 dog.\n"
    )


def test_cases_of_the_same_name_are_refused(root, monkeypatch):
    made_up(monkeypatch, "case1", "case2", "Case1", classes=("background", "cat", "dog"))
    with pytest.raises(UserError, match="gives several cases the same name: case1"):
        prepare("folder", None, root, quiet=True)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_can_travel_to_a_worker(tmp_path, kind):
    dataset, write = SOURCES[kind]
    write(tmp_path / "source")
    found = FORMATS[dataset].find(tmp_path / "source")
    assert [pickle.loads(pickle.dumps(case)).name for case in found.cases] == [case.name for case in found.cases]


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


def test_a_manifest_is_plain_json(source, root):
    go(source, root)
    content = json.loads((root / "manifest.json").read_text())
    assert content["cases"][0]["name"] == NAMES[0]
    assert isinstance(Manifest.read(root).cases[0].shape, tuple)
