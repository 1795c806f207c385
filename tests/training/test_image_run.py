"""A run on RGB images: one logit, normalised inputs, the network's grid, instances and panoptic quality."""

import csv
import json

import numpy as np
import pytest
from command_line import configuration
from PIL import Image

from magicseg.data import prepare
from magicseg.errors import UserError
from magicseg.training.data import fill_in, open_data
from magicseg.training.folder import find_folder
from magicseg.training.run import run, train

TINY = ("backbone.network.width=2", "recipe.epochs=1", "recipe.batch_size=4", "trainer.progress=false")


def prepared(tmp_path_factory, **parts):
    """Return the root of prepared images, so many a part, each with red squares on grey."""
    source, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for part, number in parts.items():
        for index in range(number):
            image, mask = np.full((40, 56, 3), 128, np.uint8), np.zeros((40, 56), np.uint8)
            for row, column in rng.integers(0, 28, (2, 2)):
                mask[row : row + 10, column : column + 10] = 255
            image[mask > 0] = (200, 30, 30)
            for kind, array in (("images", image), ("masks", mask)):
                folder = source / part / kind
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / f"{part}{index}.png")
    root = tmp_path_factory.mktemp("prepared")
    prepare("folder", source, root, quiet=True)
    return root


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return prepared(tmp_path_factory, train=8, val=2, test=3)


@pytest.fixture
def configure(squares, tmp_path):
    def composed(*overrides):
        settings = ("dataset=folder", f"dataset.root={squares}", "dataset.split=listed", "conv=regular", *TINY)
        return configuration(*settings, f"outputs={tmp_path}", *overrides)

    return composed


IMAGES = (
    "recipe.size=[32,48]",
    "recipe.output=sigmoid",
    "recipe.loss={_target_: magicseg.losses.StructureLoss}",
    "recipe.normalise=imagenet",
    "recipe.augment=transfuse",
    "recipe.selection=best_validation_loss",
    "recipe.clip={_target_: torch.nn.utils.clip_grad_norm_, _partial_: true, max_norm: 2.0}",
)


def test_an_image_run_is_scored_on_both_grids_with_instances(configure, capsys):
    run(configure(*IMAGES, "protocol=conic"))
    output = capsys.readouterr().out
    assert "PQ %" in output
    folder = train(configure(*IMAGES, "protocol=conic"))
    scores = json.loads(folder.summary.read_text())["scores"]
    assert set(scores) == {"paper", "strict", "conic"}
    assert set(scores["conic"]["mean"]) - set(scores["strict"]["mean"]) == {"pq"}
    assert scores["conic"]["counts"]["cases"] == 3
    assert json.loads(folder.summary.read_text())["checkpoint"]["rule"] == "best_validation_loss"


@pytest.mark.parametrize("rule", ["best_validation_loss", "best_validation_dice_loss"])
def test_a_loss_chooses_the_checkpoint(configure, rule):
    config = configure(*IMAGES, f"recipe.selection={rule}", "recipe.epochs=3", "trainer.overlays=false")
    folder = train(config)
    with folder.curves.open(newline="") as file:
        values = [float(row[rule.removeprefix("best_")]) for row in csv.DictReader(file)]
    chosen = json.loads(folder.summary.read_text())["checkpoint"]
    assert chosen == {"rule": rule, "epoch": values.index(min(values)) + 1, "value": pytest.approx(min(values))}


def test_the_classes_and_channels_come_from_the_prepared_data(configure):
    config = configure("recipe.size=32")
    folder = train(config)
    assert list(config.dataset.classes) == ["class_1"]
    assert config.dataset.channels == 3
    assert (folder.overlays / "best.png").is_file()


def test_another_data_set_brings_training_and_validation_cases(configure, squares, tmp_path_factory):
    other = prepared(tmp_path_factory, train=2, val=3, test=5)
    own = ("dataset.classes=[class_1]", "dataset.channels=3")
    trained = f"+dataset.train={{name: folder, root: {other}, split: random}}"
    data, *alone = (open_data(configure(*own, *more)) for more in ([trained], [], [f"dataset.root={other}"]))
    parts = {"train": (other, 7), "val": (other, 1), "test": (squares, 3)}
    assert {part: (getattr(data, part).root, len(getattr(data, part).cases)) for part in parts} == parts
    assert data.test == alone[0].test
    assert data.facts["split"] == "listed, trained on folder random"
    assert len({each.facts["manifest"] for each in (data, *alone)}) == 3


def test_two_data_sets_of_ones_own_have_two_run_folders(configure, squares, tmp_path_factory):
    paths = set()
    for root in (squares, prepared(tmp_path_factory, train=4, test=2)):
        config = configure("recipe.size=32", f"dataset.root={root}")
        fill_in(config.dataset)
        paths.add(find_folder(config).path)
    assert len(paths) == 2


@pytest.mark.parametrize(("types", "intensity"), [((np.uint8,), "by_type"), ((np.uint8, np.float32), "min_max")])
def test_how_volumes_were_scaled_is_noted_and_changes_no_run_folder(configure, tmp_path, types, intensity):
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "source" / kind).mkdir(parents=True)
        for number in range(4):
            dtype = types[number % len(types)] if kind == "images" else np.uint8
            values = rng.integers(0, 100 if kind == "images" else 2, (6, 7)).astype(dtype)
            np.save(tmp_path / "source" / kind / f"{number}.npy", values)
    prepare("folder", tmp_path / "source", tmp_path / "root", quiet=True)
    config = configure(f"dataset.root={tmp_path / 'root'}")
    fill_in(config.dataset)
    assert config.dataset.intensity == intensity
    path = find_folder(config).path
    del config.dataset.intensity  # as in runs that were trained before it was noted
    assert find_folder(config).path == path


def test_several_outputs_and_an_edge_map_are_supervised(configure):
    small = ("backbone=res2net_small", "backbone.network.width=16", "conv=sgdc", "recipe.size=64")
    loss = ("recipe.output=sigmoid", "recipe.loss={_target_: magicseg.losses.BinaryCrossEntropyDiceLoss}")
    assert train(configure(*small, *loss)).finished()


def test_without_validation_cases_the_last_checkpoint_is_scored(configure, tmp_path_factory):
    root = prepared(tmp_path_factory, train=4, test=2)
    folder = train(configure("recipe.size=32", f"dataset.root={root}", "recipe.selection=last"))
    assert folder.finished()
    assert not folder.best.exists()
    with pytest.raises(
        UserError, match=r"recipe.selection=best_validation_dice, but the split listed .* no validation"
    ):
        train(configure("recipe.size=32", f"dataset.root={root}"))


def test_a_last_batch_that_cannot_be_trained_on_is_refused_before_the_first_step(configure):
    config = configure("recipe.size=16", "recipe.batch_size=7", "backbone=att_unet_small")
    with pytest.raises(UserError, match=r"8 slices with recipe.batch_size=7 leave one slice"):
        train(config)
    assert find_folder(config).status()["state"] == "failed"


@pytest.mark.parametrize(
    ("parts", "split", "lacking"),
    [
        ({"test": 1}, "random", "training"),
        ({"val": 1, "test": 1}, "listed", "training"),
        ({"train": 2, "val": 1}, "listed", "test"),
    ],
)
def test_a_part_that_is_empty_is_told_before_the_first_epoch(configure, tmp_path_factory, parts, split, lacking):
    root = prepared(tmp_path_factory, **parts)
    overrides = (f"dataset.root={root}", f"dataset.split={split}", "recipe.size=32", "recipe.selection=last")
    config = configure(*overrides)
    with pytest.raises(UserError, match=rf"The split {split} of folder has no {lacking} cases\."):
        train(config)
    assert not find_folder(config).last.exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.output=softmax", r"StructureLoss is for one class and one logit"),
        ("recipe.normalise=images", r"Unknown normalisation 'images'. .*imagenet"),
        ("recipe.clip={_target_: magicseg.losses.clip}", r"recipe\.clip"),
    ],
)
def test_mistakes_are_explained(configure, override, message):
    with pytest.raises(UserError, match=message):
        train(configure(*IMAGES, override))
