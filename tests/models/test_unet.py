import pytest
import torch
from marked import Marked, marked
from torch import nn

from magicseg.models.model import count_parameters
from magicseg.models.unet import UNet


@pytest.mark.parametrize(
    ("channels", "classes", "parameters"), [(1, 4, 31_042_564), (1, 9, 31_042_889), (3, 1, 31_043_521)]
)
def test_parameters_at_full_width(channels, classes, parameters):
    with torch.device("meta"):
        assert count_parameters(UNet(channels, classes)) == parameters


@pytest.mark.parametrize(
    ("scope", "convolutions", "weights"),
    [("encoder_3x3", 9, 18_837_504), ("encoder_3x3_no_first_block", 8, 18_800_640), ("all", 17, 28_237_824)],
)
def test_scopes_replace_the_convolutions_that_the_papers_numbers_imply(scope, convolutions, weights):
    with torch.device("meta"):
        replaced = marked(UNet(1, 4, conv=Marked, scope=scope)).values()
    assert len(replaced) == convolutions
    assert sum(module.weight.numel() for module in replaced) == weights
    assert all(module.kernel_size == (3, 3) for module in replaced)


def test_the_first_convolution_stays_static():
    assert type(UNet(1, 4, conv=Marked, width=4, scope="all").encoder.blocks[0][0]) is nn.Conv2d


def test_logits_have_the_input_size_and_every_parameter_gets_a_gradient():
    model = UNet(3, 5, width=4)
    y = model(torch.randn(2, 3, 32, 48))
    assert y.shape == (2, 5, 32, 48)
    y.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_illegal_sizes_name_the_nearest_legal_one():
    with pytest.raises(ValueError, match="100x31 is not a multiple of 16; the nearest legal size is 96x32"):
        UNet(1, 2, width=4)(torch.zeros(1, 1, 100, 31))


@pytest.mark.parametrize(
    ("arguments", "message"), [({"scope": "decoder"}, "Unknown scope 'decoder'"), ({"width": 0}, "at least 1")]
)
def test_illegal_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        UNet(1, 2, **arguments)
