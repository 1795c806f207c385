"""The manifest: what it says comes back, its digest sees the data, and changed files are found."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicseg.data.manifest import Manifest
from magicseg.errors import UserError


@pytest.fixture
def manifest(make_case, tmp_path):
    cases = (make_case("patient001_frame01", spacing=(10.0, 1.5, 1.5)), make_case("patient001_frame02", seed=1))
    manifest = Manifest(
        "acdc", ("background", "RV", "Myo", "LV"), "made up", cases, {"patient002_frame01": "lost"}, ("a note",)
    )
    manifest.write(tmp_path)
    return manifest


def test_a_manifest_comes_back_as_it_was_written(tmp_path, manifest):
    assert Manifest.read(tmp_path) == manifest


def test_the_file_tells_the_digest_too(tmp_path, manifest):
    assert json.loads((tmp_path / "manifest.json").read_text())["digest"] == manifest.digest


def test_no_manifest_gives_the_advice(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: manifest\.json does not exist\. Ask a friend\."):
        Manifest.read(tmp_path / "nowhere", advice="Ask a friend.")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"dataset": "acdc"}', "null", '"text"'])
def test_a_broken_manifest_is_named(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json"):
        Manifest.read(tmp_path)


def test_a_manifest_with_an_unknown_entry_is_named(tmp_path, manifest):
    content = json.loads((tmp_path / "manifest.json").read_text())
    content["cases"][0]["colour"] = "red"
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"manifest\.json is not a manifest of prepared data .*colour"):
        Manifest.read(tmp_path)


def test_digest_sees_names_values_and_spacing_only(manifest):
    first, second = manifest.cases

    def digest(case):
        return dataclasses.replace(manifest, cases=(case, second)).digest

    changed = [{"name": "x"}, {"content": "x"}, {"spacing": None}]
    assert len({manifest.digest, *(digest(dataclasses.replace(first, **change)) for change in changed)}) == 4
    same = [{"sha256": "x"}, {"source": {}}, {"file": "x"}]
    assert {digest(dataclasses.replace(first, **change)) for change in same} == {manifest.digest}


def test_verify_is_content_with_untouched_files(tmp_path, manifest):
    assert manifest.verify(tmp_path) == []


def test_verify_names_missing_and_changed_files(tmp_path, manifest):
    first, second = (tmp_path / case.file for case in manifest.cases)
    first.unlink()
    with np.load(second) as arrays:
        np.savez(second, **arrays)
    assert manifest.verify(tmp_path) == [
        f"{first} is missing.",
        f"{second} has changed since it was prepared (its SHA-256 is not the manifest's).",
    ]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_verify_finds_any_changed_byte(tmp_path, manifest, position, flip):
    path = tmp_path / manifest.cases[1].file
    good = path.read_bytes()
    bad = bytearray(good)
    bad[int(position * len(good))] ^= flip
    path.write_bytes(bad)
    assert [problem.split()[0] for problem in manifest.verify(tmp_path)] == [str(path)]
    path.write_bytes(good)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_of_the_manifest_is_found(tmp_path, manifest, position, flip):
    path = tmp_path / "manifest.json"
    good = path.read_bytes()
    bad = bytearray(good)
    bad[int(position * len(good))] ^= flip
    path.write_bytes(bad)
    try:
        problems = Manifest.read(tmp_path).verify(tmp_path)
    except UserError as error:
        problems = [str(error)]
    assert [problem.split()[0] for problem in problems] == [str(path)]
    path.write_bytes(good)


def test_a_manifest_changed_by_hand_is_refused(tmp_path, manifest):
    content = json.loads((tmp_path / "manifest.json").read_text())
    del content["cases"][1]
    (tmp_path / "manifest.json").write_text(json.dumps(content, indent=2) + "\n")
    with pytest.raises(UserError, match=r"manifest\.json has been changed since it was written\. Delete it"):
        Manifest.read(tmp_path)


def test_verify_names_files_that_are_not_in_the_manifest(tmp_path, manifest):
    (tmp_path / "cases/stranger.npz").touch()
    (tmp_path / "cases/below").mkdir()
    assert manifest.verify(tmp_path) == [
        f"{tmp_path / 'cases/below'} is not in the manifest.",
        f"{tmp_path / 'cases/stranger.npz'} is not in the manifest.",
    ]


def test_merged_classes_have_another_digest(manifest):
    merged = manifest.merged("heart")
    assert merged.classes == ("background", "heart")
    assert all(len(case.label_counts) == 2 for case in merged.cases)
    assert merged.digest != manifest.digest
