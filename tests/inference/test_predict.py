"""Files to label maps: as after training, in any company, and never over something else."""

import csv
import json

import nibabel
import numpy as np
import pytest
import torch
from command_line import call, run_script
from PIL import Image as Picture
from saved_run import save_run
from torch import nn

from magicseg.errors import UserError
from magicseg.evaluation.predict import labels_of, predict_volume
from magicseg.inference.flips import FlipAveraged
from magicseg.inference.pictures import outlined, overlay
from magicseg.inference.volumes import measure

RNG = np.random.default_rng(1)
VOLUME = RNG.integers(0, 1000, (40, 44, 5)).astype(np.int16)


@pytest.fixture
def volumes(tmp_path):
    """A folder with two volumes, an array, and a file that is none of these."""
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(VOLUME, np.diag([1.5, 2, 10, 1])), folder / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(VOLUME[:, :, :2], np.eye(4)), folder / "b" / "c.nii")
    np.save(folder / "d.npy", VOLUME[:, :, 0])
    (folder / "readme.txt").touch()
    return folder


@pytest.fixture
def pictures(tmp_path):
    """A folder with five pictures of different sizes, brighter on the right."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        ramp = np.linspace(0, 127, 40)[None, :, None] + RNG.integers(0, 128, (30 + number, 40, 3))
        Picture.fromarray(ramp.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def label_of(path):
    return np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0)


def rows_of(destination):
    return list(csv.DictReader(destination.volumes.open()))


def test_label_maps_are_those_of_the_evaluation(grey, volumes, segment):
    outcome, destination = segment(grey, volumes)
    assert (outcome.done, outcome.kept, outcome.failed) == (3, 0, [])
    slices = VOLUME.transpose(2, 1, 0)
    image = ((slices - slices.min()) / np.ptp(slices)).astype(np.float32)
    expected = predict_volume(grey.model, image, grey.preprocessing)
    found = label_of(destination.labels / "a.nii.gz")
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(found, expected)
    assert np.load(destination.labels / "d.npy").shape == (40, 44)
    assert {path.name for path in destination.overlays.rglob("*.png")} == {
        "a.nii.gz.png",
        "c.nii.gz.png",
        "d.npy.png",
    }


def test_volumes_are_counted(grey, volumes, segment):
    _, destination = segment(grey, volumes)
    label, rows = label_of(destination.labels / "a.nii.gz"), rows_of(destination)
    assert [row["file"] for row in rows] == ["a.nii.gz"] * 3 + ["b/c.nii.gz"] * 3 + ["d.npy"] * 3
    for index, row in enumerate(rows[:3], start=1):
        n = int((label == index).sum())
        assert (row["label"], row["class"], row["voxels"]) == (str(index), ("RV", "Myo", "LV")[index - 1], str(n))
        assert float(row["ml"]) == pytest.approx(n * 1.5 * 2 * 10 / 1000, rel=1e-5)
        assert row["mm2"] == ""
    assert {(row["ml"], row["mm2"]) for row in rows[6:]} == {("", "")}


def test_slices_have_an_area():
    row = measure("a", "", np.uint8([[[1, 0], [1, 1]]]), ["x"], (9, 0.5, 2))[0]
    assert (row["voxels"], row["ml"], row["mm2"]) == ("3", "", "3")


def test_the_company_in_a_batch_does_not_matter(rgb, pictures, segment, tmp_path):
    _, destination = segment(rgb, pictures, batch_size=3, overlays=False)
    assert not destination.overlays.exists()
    for number in range(5):
        image = np.asarray(Picture.open(pictures / f"{number}.png"))
        expected = predict_volume(rgb.model, image[None], rgb.preprocessing)[0]
        np.testing.assert_array_equal(np.asarray(Picture.open(destination.labels / f"{number}.png")), expected)
    assert (expected.shape, set(np.unique(expected))) == ((34, 40), {0, 1})


def test_a_bad_file_does_not_stop_the_others(rgb, pictures, segment):
    (pictures / "2.png").write_bytes((pictures / "2.png").read_bytes()[:1000])
    np.save(pictures / "z.npy", np.zeros((3, 4)))
    outcome, destination = segment(rgb, pictures, batch_size=2)
    assert (outcome.done, len(outcome.failed)) == (4, 2)
    assert "2.png is damaged" in outcome.failed[0]
    assert "z.npy" in outcome.failed[1]
    assert sorted(path.name for path in destination.labels.iterdir()) == ["0.png", "1.png", "3.png", "4.png"]


def test_what_is_there_is_kept_and_what_lacks_is_made(rgb, pictures, segment):
    _, destination = segment(rgb, pictures)
    (destination.labels / "1.png").write_bytes(b"mine")
    (destination.labels / "3.png").unlink()
    outcome, _ = segment(rgb, pictures)
    assert (outcome.done, outcome.kept) == (1, 4)
    assert (destination.labels / "1.png").read_bytes() == b"mine"
    assert [row["file"] for row in rows_of(destination)] == [f"{number}.png" for number in range(5)]
    outcome, _ = segment(rgb, pictures, overwrite=True)
    assert (outcome.done, outcome.kept) == (5, 0)
    assert (destination.labels / "1.png").read_bytes() != b"mine"


def test_a_second_input_joins_the_first(rgb, pictures, segment):
    for number in range(2):
        _, destination = segment(rgb, pictures / f"{number}.png")
    assert [row["file"] for row in rows_of(destination)] == ["0.png", "1.png"]


def test_the_label_map_of_another_image_of_that_name_is_not_taken_for_its_own(rgb, pictures, segment, tmp_path):
    _, destination = segment(rgb, pictures)
    made = (destination.labels / "1.png").read_bytes()
    (pictures / "2.png").rename(pictures / "1.png")
    with pytest.raises(UserError, match=r"1.png was made from another image than \S+in/1.png\. Choose another output"):
        segment(rgb, pictures)
    assert (destination.labels / "1.png").read_bytes() == made
    assert segment(rgb, pictures / "1.png", overwrite=True)[0].done == 1
    assert (destination.labels / "1.png").read_bytes() == (destination.labels / "2.png").read_bytes() != made
    assert segment(rgb, pictures)[0].kept == 4


def test_tables_that_do_not_tell_the_images_are_taken_as_they_are(rgb, pictures, segment):
    _, destination = segment(rgb, pictures)
    rows = [line.rsplit(",", 1)[0] for line in destination.volumes.read_text().splitlines()]
    assert rows[0] == "file,label,class,voxels,ml,mm2"
    destination.volumes.write_text("\n".join(rows))
    assert segment(rgb, pictures)[0].kept == 5


def test_two_processes_do_not_segment_into_one_folder(rgb, pictures, segment, tmp_path):
    _, destination = segment(rgb, pictures / "0.png")
    text = r"Another process segments into \S+out\. Wait for it to end, or choose another output"
    with destination.alone(), pytest.raises(UserError, match=text):
        segment(rgb, pictures)
    assert [row["file"] for row in rows_of(destination)] == ["0.png"]
    assert segment(rgb, pictures)[0].done == 4
    assert [row["file"] for row in rows_of(destination)] == [f"{number}.png" for number in range(5)]


def test_other_settings_do_not_mix(rgb, pictures, segment):
    _, destination = segment(rgb, pictures)
    assert json.loads(destination.settings.read_text())["flips"] is False
    with pytest.raises(UserError, match=r"5 label maps such as 0.png that were made with another run or other options"):
        segment(rgb, pictures, flips=True)
    with pytest.raises(UserError, match=r"4 label maps such as 1.png .*no image for them. Choose another output"):
        segment(rgb, pictures / "0.png", flips=True, overwrite=True)
    assert segment(rgb, pictures, flips=True, overwrite=True)[0].done == 5
    assert json.loads(destination.settings.read_text())["flips"] is True


def test_no_picture_of_replaced_label_maps_is_left(rgb, pictures, segment):
    _, destination = segment(rgb, pictures)
    (destination.overlays / "mine.png").write_bytes(b"mine")
    segment(rgb, pictures, flips=True, overwrite=True, overlays=False)
    assert [path.name for path in destination.overlays.iterdir()] == ["mine.png"]


def test_label_maps_of_unknown_origin_are_not_touched(rgb, pictures, segment, tmp_path):
    (tmp_path / "out" / "labels").mkdir(parents=True)
    (tmp_path / "out" / "labels" / "0.png").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"0.png .*overwrite=true"):
        segment(rgb, pictures)
    assert (tmp_path / "out" / "labels" / "0.png").read_bytes() == b"mine"


class Ramp(nn.Module):
    """Logits that grow to the right and downwards, and know nothing of the image."""

    def __init__(self, classes):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(-1, 1, classes).view(1, -1, 1, 1))

    def forward(self, x):
        height, width = x.shape[-2:]
        ramp = torch.linspace(-1, 1, height)[:, None] + torch.linspace(-2, 1, width)
        return self.scale * ramp + x[:, :1]


@pytest.mark.parametrize("classes", [1, 3])
def test_flips_average_the_probabilities(classes):
    model, x = Ramp(classes), torch.rand(2, 1, 4, 6)
    to_probability = torch.sigmoid if classes == 1 else lambda logits: logits.softmax(1)
    views = [to_probability(model(x.flip(axes))).flip(axes) for axes in ((), (3,), (2,), (2, 3))]
    mean = sum(views) / 4
    logits = FlipAveraged(model)(x)
    torch.testing.assert_close(to_probability(logits), mean)
    assert torch.equal(labels_of(logits), (mean[:, 0] > 0.5 if classes == 1 else mean.argmax(1)).to(torch.uint8))
    symmetric = FlipAveraged(Ramp(classes))(torch.zeros(1, 1, 4, 6))
    torch.testing.assert_close(symmetric, symmetric.flip((2, 3)))


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(("depth", "columns", "rows"), [(1, 1, 1), (5, 4, 2), (40, 4, 3)])
def test_overlays_show_slices_and_a_legend(colour, depth, columns, rows):
    import io

    image = np.full((depth, 50, 200, 3) if colour else (depth, 50, 200), 128, np.uint8)
    label = np.zeros((depth, 50, 200), np.uint8)
    label[:, 10:20, 30:60] = 2
    picture = np.asarray(Picture.open(io.BytesIO(overlay(image, label, ["a", "b"]))))
    assert picture.shape == (50 * rows + 24, 200 * columns, 3)
    assert (picture[5, 5] == 128).all()
    assert tuple(picture[10, 30]) == (0x56, 0xB4, 0xE9)  # outline
    assert picture[15, 45, 2] > 140 > picture[15, 45, 0]  # tinted


@pytest.mark.parametrize("columns", [slice(0, 4), slice(6, 10), slice(0, 10)])
def test_an_object_is_outlined_at_the_edge_of_the_image_whatever_lies_at_the_other_edge(columns):
    label = np.zeros((8, 10), np.uint8)
    label[:, columns] = 1
    painted = outlined(np.zeros((8, 10), np.float32), label).any(axis=2)
    inner = np.zeros_like(painted)
    inner[1:-1, columns.start + 1 : columns.stop - 1] = True
    np.testing.assert_array_equal(painted, (label == 1) & ~inner)


def test_small_slices_are_enlarged():
    import io

    picture = Picture.open(
        io.BytesIO(overlay(np.zeros((1, 10, 20), np.float32), np.ones((1, 10, 20), np.uint8), ["a"]))
    )
    assert picture.size == (200, 100 + 24)


def test_the_command(rgb_run, pictures, tmp_path):
    (pictures / "bad.jpg").write_bytes(b"nonsense")
    options = (f"run={rgb_run}", f"input={pictures}", f"output={tmp_path / 'out'}", "progress=false")
    result = call("scripts/predict.py", *options)
    assert result.returncode == 1
    assert "5 images segmented, 0 were already there" in result.stdout
    assert "bad.jpg is damaged" in result.stderr
    assert "1 of 6 images were not segmented" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("added", "rule"), [((), "min_max"), (("intensity=as_they_are",), "as_they_are")])
def test_arrays_are_scaled_as_the_run_notes(tmp_path, capsys, added, rule):
    """A data set of one's own may hold arrays of 8 bits and others; then all were scaled by minimum and maximum."""
    own = ("dataset=folder", "dataset.channels=1", "dataset.classes=[a]", "dataset.content=x", "recipe=folder")
    run = save_run(tmp_path / "run", *own, "dataset.intensity=min_max", "conv=regular")
    np.save(tmp_path / "a.npy", RNG.integers(20, 60, (40, 44)).astype(np.uint8))
    options = (f"run={run}", f"input={tmp_path / 'a.npy'}", f"output={tmp_path / 'out'}", "progress=false", *added)
    assert run_script("predict.py", *options) == 0
    assert json.loads((tmp_path / "out/settings.json").read_text())["intensity"] == rule


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["input=x"], "Missing: output=..., run=..."),
        (["run=nowhere", "input=nowhere", "output=o"], "input=nowhere is no image"),
        (["run=x", "input=x", "output=o", "batch_size=0"], "batch_size=0 must be at least 1"),
        (["run=x", "input=x", "output=o", "flip=true"], "Unknown argument 'flip'. Did you mean flips?"),
    ],
)
def test_mistakes_are_explained(options, message):
    result = call("scripts/predict.py", *options)
    assert result.returncode == 1
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
