"""The lists of one's own data may change while the images do not."""

import pytest
from tiny_folder import write_set

from magicseg.data import prepare, read_prepared, split_cases

NAMES = ("a", "b", "c", "d")


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
