"""The published splits: disjoint, complete, and with the published numbers of slices and volumes."""

import csv
import dataclasses

import numpy as np
import pytest
import yaml

from magicseg.data import Manifest, list_splits, split_cases
from magicseg.data.case import Case
from magicseg.data.sources import FORMATS
from magicseg.data.splits import PARTS, slices_per_subject
from magicseg.errors import UserError


def case(name, depth=1, subject=None, part=None):
    subject = subject or name.partition("_")[0]
    source = {"part": part} if part else {}
    return Case(name, subject, f"cases/{name}.npz", "", "", (depth, 8, 8), None, (0, 1), (1, 1, 1, 1), 0, source)


def manifest(dataset, cases, missing=()):
    return Manifest(dataset, ("background", "object"), "none", tuple(cases), dict.fromkeys(missing, "lost"), ())


def names(cases):
    return [case.name for case in cases]


def counts(split):
    return [len(split.train), len(split.val), len(split.test)]


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
        UserError, match=r"2 subjects or cases .*: patient005, patient019_frame01\. .*allow_missing=true"
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


def test_synapse_split_is_transunets_in_its_order():
    numbers = [*range(1, 11), *range(21, 41)]
    split = split_cases(manifest("synapse", [case(f"case{n:04d}") for n in numbers]), "synapse", "transunet")
    assert counts(split) == [18, 0, 12]
    assert names(split.test)[:4] == ["case0008", "case0022", "case0038", "case0036"]
    assert set(names(split.train + split.test)) == {f"case{n:04d}" for n in numbers}
    assert sum(slices_per_subject("synapse").values()) == 2211
    assert set(slices_per_subject("synapse")) == set(names(split.train))


def test_official_parts():
    glas = [
        case(f"{part}_{i}", part=part) for part, n in (("train", 85), ("testA", 60), ("testB", 20)) for i in range(n)
    ]
    assert counts(split_cases(manifest("glas", glas), "glas", "official")) == [85, 0, 80]
    folders = [case(f"{part}_{i}", part=part) for part, n in (("train", 5), ("val", 2), ("test", 3)) for i in range(n)]
    assert counts(split_cases(manifest("glas", folders), "glas", "official")) == [5, 2, 3]
    assert counts(split_cases(manifest("isic", folders), "isic", "official")) == [5, 2, 3]
    assert counts(split_cases(manifest("folder", folders), "folder", "listed")) == [5, 2, 3]
    of_2016 = [case for case in folders if case.source["part"] != "val"]
    assert counts(split_cases(manifest("isic2016", of_2016), "isic2016", "official")) == [5, 3, 0]


def test_missing_images_of_a_part_are_listed_or_recorded():
    lacking = manifest("isic", [case("a", part="train"), case("b", part="test")], missing=[f"m{i}" for i in range(20)])
    with pytest.raises(UserError, match=r"official of isic names 20 subjects or cases .*: m0, .* and 8 more\."):
        split_cases(lacking, "isic", "official")
    split = split_cases(lacking, "isic", "official", allow_missing=True)
    assert (counts(split), len(split.missing)) == ([1, 0, 1], 20)


def test_cases_without_parts_cannot_be_split_by_them():
    with pytest.raises(
        UserError, match=r"listed of folder finds no case .* by parts\. Splits of folder: random, listed"
    ):
        split_cases(manifest("folder", [case("a")]), "folder", "listed")


def test_isic2018_folds_are_contiguous_as_in_medisegs_code():
    ids = [f"ISIC_{i:07d}" for i in range(2594)]
    prepared = manifest("isic2018", [case(name, subject=name) for name in reversed(ids)])
    assert list_splits("isic2018") == [f"fold{k}" for k in range(5)]
    for k in range(5):
        split = split_cases(prepared, "isic2018", f"fold{k}")
        assert counts(split) == [1661, 415, 518]
        assert names(split.test) == ids[518 * k : 518 * (k + 1)]
        others = ids[: 518 * k] + ids[518 * (k + 1) :]
        assert names(split.val + split.train) == others


def test_the_real_isic2018_folds(verification):
    cases = [case(c.name, subject=c.subject) for c in FORMATS["isic2018"].find(verification("isic2018_256")).cases]
    tested = [
        name for k in range(5) for name in names(split_cases(manifest("isic2018", cases), "isic2018", f"fold{k}").test)
    ]
    assert tested == sorted(names(cases))[:2590]


def test_ph2_is_all_test():
    cases = [case(f"IMD{i:03d}") for i in range(200)]
    split = split_cases(manifest("ph2", cases), "ph2", "all_test")
    assert counts(split) == [0, 0, 200]
    assert names(split.test) == names(cases)


def test_conic_by_patch_has_the_floor_counts():
    cases = [case(f"p{i:04d}", subject=f"s{i // 10}") for i in range(4981)]
    split = split_cases(manifest("conic", cases), "conic", "by_patch")
    assert counts(split) == [3486, 498, 997]
    assert names(split.train) == sorted(names(split.train))
    again = split_cases(manifest("conic", cases[::-1]), "conic", "by_patch")
    assert {frozenset(names(part)) for part in (split.train, split.val, split.test)} == {
        frozenset(names(part)) for part in (again.train, again.val, again.test)
    }


@pytest.mark.parametrize("seed", range(20))
def test_conic_by_image_keeps_images_whole_and_is_near_the_shares(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 1, 1, 4, 9, 16, 36], size=400)
    cases = [case(f"s{s:03d}-{i}", subject=f"s{s:03d}") for s, size in enumerate(sizes) for i in range(size)]
    split = split_cases(manifest("conic", cases), "conic", "by_image")
    subjects = [{case.subject for case in part} for part in (split.train, split.val, split.test)]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 400
    n = len(cases)
    np.testing.assert_allclose(counts(split), [0.7 * n, 0.1 * n, 0.2 * n], atol=3)
    large = [np.mean([sizes[int(s[1:])] for s in part]) for part in subjects]
    np.testing.assert_allclose(large, np.mean(sizes), rtol=0.15)


def test_a_group_goes_where_most_is_left_to_give_per_case_given_and_half_the_group():
    """Of targets 7, 1, 2: b by 7/2.5 to train, c by 2/1.5 to test, a by 7/6 to train and not by 1/1 to val."""
    cases = [case(f"{s}-{i}", subject=s) for s, size in (("a", 2), ("b", 5), ("c", 3)) for i in range(size)]
    split = split_cases(manifest("conic", cases), "conic", "by_image")
    assert [sorted({case.subject for case in part}) for part in (split.train, split.val, split.test)] == [
        ["a", "b"],
        [],
        ["c"],
    ]


def test_the_real_consep_patches_by_image(verification):
    with (verification("conic_from_consep") / "patch_info.csv").open() as file:
        patches = [row[0] for row in csv.reader(file)][1:]
    cases = [case(name, subject=name.rpartition("-")[0]) for name in patches]
    split = split_cases(manifest("conic", cases), "conic", "by_image")
    subjects = [{case.subject for case in part} for part in (split.train, split.val, split.test)]
    assert not subjects[0] & subjects[1] | subjects[0] & subjects[2] | subjects[1] & subjects[2]
    assert counts(split) == [19 * 16, 3 * 16, 5 * 16]  # 27 images of 16 patches; shares are 18.9, 2.7, 5.4 images


def test_random_split_of_a_folder_keeps_subjects_together():
    cases = [case(f"{subject}_{i}") for subject in "abcdefghij" for i in range(3)]
    split = split_cases(manifest("folder", cases), "folder", "random")
    assert counts(split) == [21, 3, 6]
    assert names(split.val) == ["f_0", "f_1", "f_2"]  # stored runs hang on the drawing
    assert all(len({case.name[0] for case in part}) * 3 == len(part) for part in (split.train, split.val, split.test))


def test_every_data_set_has_a_split_of_one_known_rule():
    from importlib import resources

    facts = yaml.safe_load(resources.files("magicseg.data").joinpath("splits.yaml").read_text())
    assert set(FORMATS) <= set(facts)
    for dataset in facts.values():
        for rule in dataset["splits"].values():
            assert len({"subjects", "parts", "fold", "ratio"} & set(rule)) == 1
            for kind in {"subjects", "parts"} & set(rule):
                assert set(rule[kind]) <= set(PARTS)
