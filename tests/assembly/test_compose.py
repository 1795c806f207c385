"""Configurations without a command line."""

import pytest
from command_line import configuration
from hydra.errors import HydraException

from magicseg.assembly.compose import compose_config, config_folder


def test_names_compose_to_the_configuration_of_the_command_line():
    overrides = ["dataset=acdc", "backbone=unet", "budget=cpu", "recipe.epochs=2"]
    config = compose_config(overrides)
    assert config == configuration(*overrides)
    assert (config.recipe.name, config.recipe.epochs, config.backbone.network.width) == ("acdc_cpu", 2, 16)


def test_a_name_that_does_not_exist_is_refused():
    with pytest.raises(HydraException, match="backbone/unett"):
        compose_config(["backbone=unett"])


def test_the_groups_lie_beside_the_package():
    assert (config_folder() / "config.yaml").is_file()
