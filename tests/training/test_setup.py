"""What is refused before the first step."""

import re

import pytest
from command_line import configuration
from torch import nn

from magicseg.errors import UserError
from magicseg.losses import Supervision, dice_loss
from magicseg.training.setup import build_loss, check_last_batch, validation_losses


def settings(backbone, size, batch_size, conv="regular"):
    return configuration(
        "dataset=glas",
        f"backbone={backbone}",
        f"conv={conv}",
        f"recipe.size={size}",
        f"recipe.batch_size={batch_size}",
    )


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("resnet18_small", 32),
        ("att_unet_small", 16),
        ("transunet_small", 16),
        ("transfuse_small", 16),
        ("levit_unet_small", 16),
    ],
)
def test_a_last_batch_of_one_slice_is_refused_where_a_map_is_down_to_one_pixel(backbone, size):
    message = (
        f"85 slices with recipe.batch_size=4 leave one slice for the last batch of an epoch, and at recipe.size={size} "
        f"backbone={backbone.removesuffix('_small')} has a map of one pixel, which batch normalisation cannot train on."
        " Take another recipe.batch_size or a larger recipe.size."
    )
    with pytest.raises(UserError, match=re.escape(message)):
        check_last_batch(settings(backbone, size, 4), 85)
    with pytest.raises(UserError, match=r"84 slices with recipe\.batch_size=1 leave one slice"):
        check_last_batch(settings(backbone, size, 1), 84)
    check_last_batch(settings(backbone, size, 4), 86)
    check_last_batch(settings(backbone, 128, 4), 85)


@pytest.mark.parametrize("conv", ["dcd", "magic_4x", "odconv", "sgdc"])
def test_a_batch_of_one_slice_is_taken_where_the_maps_are_larger(conv):
    check_last_batch(settings("unet_small", 64, 4, conv), 85)


def test_a_batch_of_one_slice_does_not_ask_an_operator_to_know_the_meta_device():
    config = settings("unet_small", 64, 4)
    config.conv.operator._target_ = "faults.Reads"
    check_last_batch(config, 85)


@pytest.mark.parametrize(
    ("conv", "backbone", "weights", "edge_weight"),
    [
        ("regular", "unet", (1.0,), 0.0),
        ("sgdc", "unet", (1.0,), 3.0),
        ("regular", "cto", (1, 1, 1), 3.0),
        ("regular", "transfuse", (0.5, 0.3, 0.2), 0.0),
        ("sgdc", "cto", (1, 1, 1), 0.5),  # the convolution's holds: the edge map is its
    ],
)
def test_every_output_is_supervised_with_the_weights_of_the_configuration(conv, backbone, weights, edge_weight):
    config = configuration(f"conv={conv}", f"backbone={backbone}")
    if conv == "sgdc" and backbone == "cto":
        config.conv.edge_weight = 0.5
    loss = build_loss(config)
    assert (loss.weights, loss.edge_weight) == (weights, edge_weight)


def test_the_validation_losses_are_the_recipes_own_and_dice_loss():
    loss = Supervision(nn.Identity())
    assert validation_losses(loss) == {"validation_loss": loss.segmentation, "validation_dice_loss": dice_loss}
