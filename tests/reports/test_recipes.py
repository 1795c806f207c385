"""What a run was trained with: told apart, and held against what is shipped."""

import pytest
from command_line import configuration
from omegaconf import OmegaConf
from synthetic_runs import summary, write_run

from magicseg.reports.recipes import not_as_shipped, read_training
from magicseg.reports.results import read_result


@pytest.fixture
def run(tmp_path):
    """Return a function that writes a run with the configuration of these overrides and reads it."""

    def read(*overrides, dataset="acdc", backbone="unet", budget="full"):
        config = configuration(f"dataset={dataset}", f"backbone={backbone}", f"budget={budget}", *overrides)
        groups = OmegaConf.to_container(config, resolve=True)
        content = summary(dataset, backbone, groups["conv"]["name"], budget=groups["recipe"]["budget"])
        content["config"] = {name: groups[name] for name in ("dataset", "backbone", "conv", "recipe", "trainer")}
        return read_result(write_run(tmp_path / str(len(list(tmp_path.iterdir()))), content))

    return read


@pytest.mark.parametrize(
    ("override", "recipe", "network"),
    [
        ("conv=magic_4x", True, True),
        ("seed=2", True, True),
        ("dataset.root=elsewhere", True, True),
        ("dataset.split=ssl4mis", True, True),
        ("trainer.threads=1", True, True),
        ("recipe.epochs=3", False, True),
        ("trainer.precision=bfloat16", False, True),
        ("backbone.network.width=2", True, False),
    ],
)
def test_recipe_and_network_are_told_apart_whatever_the_convolution(run, override, recipe, network):
    first, second = run("conv=regular"), run("conv=regular", override)
    assert ((first.recipe == second.recipe), (first.network == second.network)) == (recipe, network)


@pytest.mark.parametrize(
    ("options", "overrides", "text"),
    [
        ({}, [], ""),
        ({"budget": "cpu"}, [], ""),
        ({"dataset": "glas", "backbone": "transunet"}, [], ""),
        ({"dataset": "phantom"}, ["recipe.epochs=1"], ""),  # a demonstration
        ({}, ["conv=magic_4x", "seed=7", "trainer.threads=2"], ""),
        ({}, ["recipe.epochs=2"], "recipe.epochs=2 (shipped: 200)"),
        (
            {"budget": "cpu"},
            ["recipe.epochs=3", "recipe.size=[96,128]", "trainer.precision=bfloat16"],
            "recipe.epochs=3 (shipped: 8), recipe.size=[96, 128] (shipped: 128), "
            "trainer.precision=bfloat16 (shipped: float32)",
        ),
        ({}, ["backbone=unet_small"], "backbone.network.width=16 (shipped: 64)"),
        ({}, ["recipe.optimizer.lr=0.5"], "recipe.optimizer.lr=0.5 (shipped: 0.0001)"),
        ({}, ["+recipe.mine=null"], "recipe.mine=null (not shipped)"),
        ({"backbone": "transunet"}, ["recipe.size=160"], "recipe.size=160 (shipped: 224)"),  # its image_size follows
    ],
)
def test_what_is_not_as_shipped_is_said(run, options, overrides, text):
    assert not_as_shipped(run(*overrides, **options)) == text


def test_what_an_older_version_did_not_have_is_not_told(tmp_path):
    content = summary(config={"recipe": {"epochs": 200}, "backbone": {"name": "unet"}})
    assert not_as_shipped(read_result(write_run(tmp_path, content))) == ""


def test_a_data_set_of_ones_own_is_said(tmp_path):
    result = read_result(write_run(tmp_path, summary("mine")))
    assert not_as_shipped(result) == "a configuration that is not shipped (mine, unet)"


def test_a_configuration_that_tells_nothing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"its config.yaml must tell how it was trained \(FileNotFoundError"):
        read_training(tmp_path / "config.yaml")
