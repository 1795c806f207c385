"""The folders and lists that divide one's own data, which may change while the images do not."""

import pytest
from tiny_folder import write_set

from magicseg.data import prepare, read_prepared, split_cases
from magicseg.data.sources import folder
from magicseg.errors import UserError

NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    "parts",
    [
        ("train", "val", "test"),
        ("Train_Folder", "validation", "Test_Folder"),
        ("training", "valid", "testing"),
        ("TRAINING", "VAL", "testA"),
        ("train2017", "val-1", "test set"),
        ("TrainDataset", "valset", "TestDataset"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_folders_divide_the_cases(tmp_path, parts, inside):
    for part in parts:
        if inside:
            write_set(tmp_path, f"images/{part}", f"masks/{part}", names=("a",))
        else:
            write_set(tmp_path / part, names=("a",))
    cases = folder.find(tmp_path).cases
    assert {case.name: case.facts for case in cases} == {
        f"{part}_a": {"part": part} for part in ("train", "val", "test")
    }


def test_words_that_begin_like_a_part_are_none(tmp_path):
    names = ("valve", "trainee", "aorta", "VALVE", "testis", "value_1", "retest", "validity")
    for name in names:
        write_set(tmp_path, f"images/{name}", f"masks/{name}", names=(name,))
    assert [case.facts for case in folder.find(tmp_path).cases] == [{}] * len(names)


def test_a_single_part_does_not_divide(tmp_path):
    write_set(tmp_path / "train")
    assert [case.facts for case in folder.find(tmp_path).cases] == [{}] * 3


@pytest.mark.parametrize("place", ["", "lists"])
def test_lists_divide_the_cases(tmp_path, place):
    write_set(tmp_path, names=("a", "b", "c", "d e", "f.1", "f.2"))
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "train.txt").write_text("images/a.png\r\n\r\nd e.png\r\nf.2\r\n")
    (tmp_path / place / "valid.txt").write_text("b\nz.nii.gz\nf.1\n")
    source = folder.find(tmp_path)
    assert {case.name: case.facts.get("part") for case in source.cases} == {
        "a": "train",
        "b": "val",
        "c": None,
        "d_e": "train",
        "f.1": "val",
        "f.2": "train",
    }
    assert source.missing == {"z": "in the list of val, but there is no such image with a mask"}
    assert source.notes == ["1 of 6 cases are in no list and belong to no part."]


def test_a_case_in_two_lists_is_refused(tmp_path):
    write_set(tmp_path)
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "test.txt").write_text("a.png\n")
    with pytest.raises(UserError, match=r"test.txt: a is also in the list of train"):
        folder.find(tmp_path)


@pytest.fixture
def own(tmp_path):
    """Prepare four images with the lists given as part=names; return the manifest."""
    write_set(tmp_path / "source", names=NAMES)

    def prepared(**lists):
        for part in ("train", "val", "test"):
            path = tmp_path / "source" / f"{part}.txt"
            path.unlink(missing_ok=True)
            if part in lists:
                path.write_text("".join(f"{name}\n" for name in lists[part]))
        prepare("folder", tmp_path / "source", tmp_path / "root", quiet=True)
        return read_prepared("folder", tmp_path / "root")

    return prepared


def parts(manifest):
    split = split_cases(manifest, "folder", "listed")
    return tuple("".join(case.name for case in cases) for cases in (split.train, split.val, split.test))


def test_changed_lists_change_the_parts_and_the_digest(own, tmp_path):
    first = own(train="ab", val="c", test="d")
    unchanged = [tmp_path / f"root/cases/{name}.npz" for name in "ad"]
    times = [path.stat().st_mtime_ns for path in unchanged]
    second = own(train="ac", val="b", test="d")
    assert (parts(first), parts(second)) == (("ab", "c", "d"), ("ac", "b", "d"))
    assert first.digest != second.digest
    assert [path.stat().st_mtime_ns for path in unchanged] == times
    assert own(train="ab", val="c", test="d") == first


def test_lists_that_are_gone_leave_no_part(own):
    listed, free = own(train="ab", test="cd"), own()
    assert [case.source.get("part") for case in free.cases] == [None] * 4
    assert listed.digest != free.digest
    assert [case.content for case in free.cases] == [case.content for case in listed.cases]


def test_the_same_lists_again_are_nothing_to_do(own, tmp_path):
    own(train="ab", val="c", test="d")
    written = (tmp_path / "root/manifest.json").stat().st_mtime_ns
    own(train="ab", val="c", test="d")
    assert (tmp_path / "root/manifest.json").stat().st_mtime_ns == written
