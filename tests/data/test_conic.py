"""CoNIC: patches, kinds and nuclei in both layouts; what the files contradict each other in is said."""

import csv
import re

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from magicseg.data.sources import FORMATS, conic, consep
from magicseg.data.sources.conic_arrays import KINDS, count_nuclei
from magicseg.errors import UserError

NAMES = ("consep_1-0000", "consep_1-0001", "glas_7-0000")
CONSEP = {"train_1_000": "consep_1-000", "train_1_001": "consep_1-001", "test_2_000": "consep_test_2-000"}


def patch(seed, size=256):
    """Return an image, nuclei with numbers left out, and their kinds: two in the centre, one at the very edge."""
    rng = np.random.default_rng(seed)
    instances, kinds = np.zeros((size, size), np.uint16), np.zeros((size, size), np.uint16)
    for number, kind, place in ((7, 1, 100), (500, 6, 140), (501, 2, 0)):
        instances[place : place + 5, place : place + 9] = number + seed
        kinds[place : place + 5, place : place + 9] = kind
    return rng.integers(0, 256, (size, size, 3), np.uint8), instances, kinds


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_conic(folder, counts=((1, 0, 0, 0, 0, 1),) * 3, names=NAMES):
    folder.mkdir(parents=True, exist_ok=True)
    patches = [patch(seed) for seed in range(3)]
    np.save(folder / "images.npy", np.stack([image for image, *_ in patches]))
    np.save(folder / "labels.npy", np.stack([np.stack(maps, axis=-1) for _, *maps in patches]))
    write_csv(folder / "counts.csv", [KINDS, *counts])
    write_csv(folder / "patch_info.csv", [["patch_info"], *[[name] for name in names]])


def write_consep(folder):
    for seed, stem in enumerate(CONSEP):
        image, instances, kinds = patch(seed)
        for kind in ("images", "inst", "type_mat"):
            (folder / kind / stem.partition("_")[0]).mkdir(parents=True, exist_ok=True)
        part = stem.partition("_")[0]
        Image.fromarray(image).save(folder / "images" / part / f"{stem}.png")
        np.save(folder / "inst" / part / f"{stem}.npy", instances)
        of_nuclei = [{1: 1, 6: 4, 2: 3}[int(kinds[instances == number][0])] for number in np.unique(instances)[1:]]
        savemat(folder / "type_mat" / part / f"{stem}.mat", {"inst_type": np.array(of_nuclei)[:, None]})


def test_patches_are_read_with_kinds_and_nuclei(tmp_path):
    write_conic(tmp_path / "data")
    source = conic.find(tmp_path)
    assert FORMATS["conic"].classes == ("background", *KINDS)
    assert (source.layout, source.notes, source.missing) == ("CoNIC npy", [], {})
    assert [(case.name, case.subject, case.facts["source"]) for case in source.cases] == [
        ("consep_1-0000", "consep_1", "consep"),
        ("consep_1-0001", "consep_1", "consep"),
        ("glas_7-0000", "glas_7", "glas"),
    ]
    for seed, case in enumerate(source.cases):
        volume = case.read()
        for found, expected in zip((volume.image, volume.instances, volume.label), patch(seed), strict=True):
            np.testing.assert_array_equal(found, expected[np.newaxis])
        assert (volume.image.dtype, volume.label.dtype, volume.spacing) == (np.uint8, np.uint8, None)


def test_consep_folders_give_the_same_patches_as_conic(tmp_path):
    write_consep(tmp_path)
    source = conic.find(tmp_path)
    assert {case.name: case.subject for case in source.cases} == {
        "consep_1-000": "consep_1",
        "consep_1-001": "consep_1",
        "consep_test_2-000": "consep_test_2",
    }
    assert {case.facts["part"] for case in source.cases if "test" in case.name} == {"test"}
    assert source.notes[0].startswith("CoNSeP's kinds stand for CoNIC's: miscellaneous as neutrophil")
    by_name = {case.name: case for case in source.cases}
    for seed, name in enumerate(CONSEP.values()):
        volume = by_name[name].read()
        for found, expected in zip((volume.image, volume.instances, volume.label), patch(seed), strict=True):
            np.testing.assert_array_equal(found, expected[np.newaxis])


def test_each_of_conseps_kinds_has_its_own_also_without_background(tmp_path):
    image, instances, kinds = (tmp_path / name for name in ("a.png", "a.npy", "a.mat"))
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(image)
    np.save(instances, np.array([[5, 9], [2, 7]]))
    savemat(kinds, {"inst_type": np.array([1, 2, 3, 4])})  # of 2, 5, 7, 9
    assert consep.read(image, instances, kinds).label.tolist() == [[[3, 6], [1, 2]]]


def test_consep_patches_without_all_files_are_missing(tmp_path):
    write_consep(tmp_path)
    (tmp_path / "type_mat/train/train_1_000.mat").unlink()
    assert conic.find(tmp_path).missing == {"consep_1-000": "no file in type_mat"}


@pytest.mark.parametrize("kinds", [[1, 4], [1, 4, 5], [0, 1, 2], [1.5, 1, 1]])
def test_kinds_that_are_not_one_a_nucleus_are_refused(tmp_path, kinds):
    write_consep(tmp_path)
    savemat(tmp_path / "type_mat/train/train_1_000.mat", {"inst_type": np.array(kinds)})
    case = next(case for case in conic.find(tmp_path).cases if case.name == "consep_1-000")
    with pytest.raises(
        UserError, match=rf"train_1_000.mat: inst_type holds {len(kinds)} kinds .*expected are 3, one a"
    ):
        case.read()


def test_a_nucleus_has_the_kind_of_most_of_its_pixels():
    instances = np.array([[1, 1, 1, 9], [0, 0, 9, 9]])
    kinds = np.array([[2, 2, 3, 6], [0, 0, 6, 0]])
    assert count_nuclei(instances, kinds) == [0, 1, 0, 0, 0, 1]
    assert count_nuclei(np.zeros((2, 2), int), np.zeros((2, 2), int)) == [0] * 6
    assert count_nuclei(np.array([[1, 2]]), np.array([[7, 3]])) == [0, 0, 1, 0, 0, 0]  # there is no kind 7


@pytest.mark.parametrize(
    ("counts", "note"),
    [
        (((1, 0, 0, 0, 0, 1),) * 2 + ((2, 0, 0, 0, 0, 1),), r"in 1 of 3 patches \(number 2\)\.$"),
        (((1, 1, 0, 0, 0, 1),) * 3, r"in 3 of 3 patches \(number 0, 1, 2\); it counts the whole patches\.$"),
    ],
)
def test_counts_that_differ_from_the_maps_are_noted(tmp_path, counts, note):
    write_conic(tmp_path, counts)
    (found,) = conic.find(tmp_path).notes
    assert re.fullmatch(rf"counts.csv differs from the maps' central 224 x 224 pixels {note}", found)


def test_nuclei_without_a_kind_are_noted(tmp_path):
    write_conic(tmp_path)
    labels = np.load(tmp_path / "labels.npy")
    labels[1, 100:105, 100:109, 1] = 0
    np.save(tmp_path / "labels.npy", labels)
    assert conic.find(tmp_path).notes[0] == "Nuclei and kinds cover different pixels in 1 of 3 patches (number 1)."


def test_without_names_each_patch_is_its_own_subject(tmp_path):
    write_conic(tmp_path)
    (tmp_path / "patch_info.csv").unlink(), (tmp_path / "counts.csv").unlink()
    source = conic.find(tmp_path)
    assert [case.subject for case in source.cases] == ["conic_0000", "conic_0001", "conic_0002"]
    assert [note.partition(":")[0] for note in source.notes] == ["patch_info.csv is not there"]


def test_images_without_labels_are_no_data(tmp_path):
    write_conic(tmp_path)
    (tmp_path / "labels.npy").unlink()
    with pytest.raises(UserError, match="No CoNIC data below"):
        conic.find(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("images.npy", np.zeros((3, 256, 256), np.uint8), r"holds uint8 \(3, 256, 256\); expected is uint8 \(N, 256"),
        ("images.npy", np.zeros((3, 256, 256, 3)), "holds float64"),
        ("labels.npy", np.zeros((2, 256, 256, 2), np.uint16), r"of shape \(3, 256, 256, 2\)"),
        ("labels.npy", np.zeros((3, 256, 256, 2), np.float32), "holds float32"),
        ("patch_info.csv", [["patch_info"], ["a-1"]], "has 1 rows below its head; expected are 3"),
        ("patch_info.csv", [["patch_info"], ["a-1"], ["a-1"], ["a-2"]], "a-1 named more than once"),
        ("counts.csv", [KINDS, *[[1, 2]] * 3], "of 6 columns"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, name, content, message):
    write_conic(tmp_path)
    (write_csv if name.endswith("csv") else np.save)(tmp_path / name, content)
    with pytest.raises(UserError, match=rf"{name}: {message}|{name}.*{message}"):
        conic.find(tmp_path)


def test_a_kind_beyond_the_six_is_refused(tmp_path):
    write_conic(tmp_path)
    labels = np.load(tmp_path / "labels.npy")
    labels[0, 0, 0, 1] = 7
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(UserError, match=r"labels.npy, patch 0: the label holds the values 7; allowed are 0 to 6"):
        conic.find(tmp_path).cases[0].read()


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
@pytest.mark.parametrize("kept", [0, 50, -1])
def test_cut_off_arrays_are_named(tmp_path, name, kept):
    write_conic(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    with pytest.raises(UserError, match=rf"{name} is damaged or no npy file"):
        conic.find(tmp_path)


@pytest.mark.parametrize("folder", [None, "nowhere", "."])
def test_without_data_the_text_says_where_to_get_it(tmp_path, folder):
    with pytest.raises(UserError, match=r"conic-challenge.*CC BY-NC-SA 4.0.*dataset=conic source=FOLDER"):
        conic.find(folder and tmp_path / folder)


def test_both_layouts_in_one_folder_are_refused(tmp_path):
    write_conic(tmp_path / "a")
    write_consep(tmp_path / "b")
    with pytest.raises(UserError, match="CoNIC data in 2 layouts: CoNIC npy, CoNSeP patches"):
        conic.find(tmp_path)


def test_the_real_patches_are_the_same_in_both_layouts(verification):
    arrays, patches = conic.find(verification("conic_from_consep")), conic.find(verification("consep"))
    by_name = {case.name: case for case in patches.cases}
    assert (len(arrays.cases), len(patches.cases), patches.missing) == (432, 432, {})
    assert len({case.subject for case in arrays.cases}) == 27
    without_nuclei = sparse = 0
    for case in arrays.cases:
        ours, theirs = case.read(), by_name[case.name].read()
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_array_equal(ours.label, theirs.label)
        ids, numbered = np.unique(theirs.instances, return_inverse=True)
        np.testing.assert_array_equal(ours.instances, numbered.reshape(ours.instances.shape))
        without_nuclei += not ours.label.any()
        sparse += int(ids[-1]) >= len(ids)
    assert (without_nuclei, sparse) == (21, 410)


def test_the_real_counts_are_those_of_whole_patches(verification):
    assert conic.find(verification("conic_from_consep")).notes == [
        "counts.csv differs from the maps' central 224 x 224 pixels in 378 of 432 patches (number 0, 1, 2, 3 ...); "
        "it counts the whole patches."
    ]
