"""The command line as a user meets it."""

import pytest
from command_line import PROJECT, TINY, call, configuration
from omegaconf import OmegaConf

EXPERIMENTS = sorted(path.stem for path in (PROJECT / "configs" / "experiment").glob("*.yaml"))
GROUPS = [
    f"{folder.name}={file.stem}"
    for folder in sorted((PROJECT / "configs").iterdir())
    if folder.is_dir() and folder.name != "experiment"
    for file in sorted(folder.glob("*.yaml"))
]


@pytest.mark.parametrize("override", [*GROUPS, *(f"experiment={name}" for name in EXPERIMENTS)])
def test_every_option_composes(override):
    config = configuration(override)
    OmegaConf.resolve(config)
    assert not OmegaConf.missing_keys(config)


def test_the_main_job_is_the_full_recipe():
    config = configuration("dataset=acdc", "backbone=unet", "conv=magic_4x")
    recipe = config.recipe
    assert (config.backbone.network.width, config.dataset.split, config.protocol.name) == (64, "mtunet", "transunet")
    assert (recipe.epochs, recipe.size, recipe.batch_size, recipe.budget) == (200, 224, 12, "full")
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (1e-4, 1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["conv=magic_5x"], "Unknown conv 'magic_5x'. Did you mean magic_4x"),
        (["backbone=unett"], "Unknown backbone 'unett'. Did you mean unet"),
        (["recipe.epoch=3"], "Unknown key 'recipe.epoch'. Did you mean epochs?"),
        (["datset=acdc"], "Unknown key 'datset'. Did you mean dataset"),
        (["recipe.epochs"], "recipe.epochs"),
        (["protocol.iou=plain"], "Unknown key 'protocol.iou'. Choose protocol by name to change it: protocol=NAME"),
        (["run.folder=x"], "Unknown key 'run.folder'. run is a value, not a group of keys: run=VALUE."),
        (["recipe=null"], "Unknown recipe 'null'. Allowed: acdc, "),
        (["-m", "conv=regular,magic_4x", "trainer=null"], "Unknown trainer 'null'. Allowed: default."),
        (["dataset=acdc", "dataset.root=nowhere"], "prepare_data.py dataset=acdc source="),
    ],
)
def test_mistakes_end_with_one_paragraph_and_exit_code_1(arguments, message, tmp_path):
    result = call("train.py", *arguments, f"outputs={tmp_path}")
    text = " ".join(result.stderr.split())
    assert result.returncode == 1
    assert text.startswith("Error: ")
    assert message in text
    assert "Traceback" not in text


def test_a_run_prints_its_scores_and_where_it_lies(phantom, tmp_path):
    outputs = tmp_path / "out puts ü"
    result = call("train.py", *TINY, "recipe.epochs=1", f"dataset.root={phantom}", f"outputs='{outputs}'")
    assert result.returncode == 0, result.stderr
    assert "paper protocol (transunet), 12 cases" in result.stdout
    folder = next(line.split(maxsplit=2)[2] for line in result.stdout.splitlines() if line.startswith("run folder"))
    assert (outputs / folder if not folder.startswith("/") else PROJECT / folder).exists()
    assert result.stdout.count("overlay ") == 3


def test_help_lists_the_groups():
    result = call("train.py", "--help")
    assert result.returncode == 0
    assert "conv: condconv, " in result.stdout
