"""The published splits: disjoint, complete, and with the published numbers of slices and volumes."""

import dataclasses

import pytest

from magicseg.data import Manifest, list_splits, split_cases
from magicseg.data.case import Case
from magicseg.data.splits import slices_per_subject
from magicseg.errors import UserError


def case(name, depth):
    subject = name.partition("_")[0]
    return Case(name, subject, f"cases/{name}.npz", "", "", (depth, 8, 8), None, (0, 1), (1, 1, 1, 1), 0, {})


@pytest.fixture
def acdc():
    """A manifest of all 100 patients, without any file."""
    counts = slices_per_subject("acdc").items()
    cases = [case(f"{subject}_frame0{frame}", slices // 2) for subject, slices in counts for frame in (1, 2)]
    return Manifest("acdc", ("background", "RV", "Myo", "LV"), "none", tuple(cases), {}, ())


def sizes(split):
    return [(len(part), sum(case.shape[0] for case in part)) for part in (split.train, split.val, split.test)]


PUBLISHED = {
    "mtunet": [(140, 1304), (20, 182), (40, 416)],
    "ssl4mis": [(140, 1312), (20, 210), (40, 380)],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_acdc_splits_have_the_published_sizes(acdc, name):
    assert sizes(split_cases(acdc, "acdc", name)) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_splits_of_the_real_acdc_have_the_published_sizes(real_acdc, name):
    assert sizes(split_cases(real_acdc[1], "acdc", name)) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_acdc_splits_part_all_100_patients(acdc, name):
    split = split_cases(acdc, "acdc", name)
    parts = [{case.subject for case in part} for part in (split.train, split.val, split.test)]
    assert [len(part) for part in parts] == [70, 10, 20]
    assert len(set.union(*parts)) == 100


def test_known_patients_are_where_the_papers_have_them(acdc):
    test = {case.subject for case in split_cases(acdc, "acdc", "mtunet").test}
    assert {"patient002", "patient095"} <= test
    val = [case.name for case in split_cases(acdc, "acdc", "mtunet").val]
    assert val[:3] == ["patient019_frame01", "patient019_frame02", "patient021_frame01"]


def test_published_slice_counts_sum_to_1902():
    assert sum(slices_per_subject("acdc").values()) == 1902


def test_phantom_split():
    names = [f"phantom{number:02d}_frame01" for number in range(1, 31)]
    manifest = Manifest("phantom", ("background",), "none", tuple(case(name, 8) for name in names), {}, ())
    split = split_cases(manifest, "phantom", "default")
    assert [case.name for case in split.train + split.val + split.test] == names
    assert [len(part) for part in (split.train, split.val, split.test)] == [20, 4, 6]
    assert list_splits("phantom") == ["default"]
    assert slices_per_subject("phantom") == {}


@pytest.fixture
def incomplete(acdc):
    """The whole of patient 5 and the first frame of patient 19 are lost."""
    lost = {"patient005_frame01": "lost", "patient005_frame02": "lost", "patient019_frame01": "lost"}
    return dataclasses.replace(acdc, cases=tuple(case for case in acdc.cases if case.name not in lost), missing=lost)


def test_missing_subjects_and_frames_are_listed(incomplete):
    with pytest.raises(
        UserError, match=r"2 subjects or frames .*: patient005, patient019_frame01\. .*allow_missing=true"
    ):
        split_cases(incomplete, "acdc", "mtunet")


def test_missing_subjects_may_be_left_out_and_are_recorded(incomplete):
    split = split_cases(incomplete, "acdc", "mtunet", allow_missing=True)
    assert split.missing == ["patient005", "patient019_frame01"]
    assert sizes(split) == [(138, 1304 - 20), (19, 182 - 11), (40, 416)]


def test_unknown_names_give_the_nearest(acdc):
    with pytest.raises(UserError, match=r"Unknown split of acdc 'mtunett'. Did you mean mtunet\?"):
        split_cases(acdc, "acdc", "mtunett")
    with pytest.raises(UserError, match=r"Unknown data set 'acd'. Did you mean acdc\?"):
        split_cases(acdc, "acd", "mtunet")
    with pytest.raises(UserError, match="Unknown data set"):
        list_splits("nothing")
