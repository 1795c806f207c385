from __future__ import annotations

import subprocess
import sys

import pytest
from torch import nn

from magicseg.convs import MAGICConv2d, create_conv, list_convs
from magicseg.errors import UserError


def test_the_names_are_the_papers_rows():
    assert {"regular", "magic_1x", "magic_2x", "magic_4x"} <= set(list_convs())
    assert list_convs("magic*") == ["magic_1x", "magic_2x", "magic_4x"]
    assert list_convs("nothing*") == []


@pytest.mark.parametrize(("name", "kernels"), [("magic_1x", 1), ("magic_2x", 2), ("magic_4x", 4)])
def test_the_number_before_x_is_that_of_the_kernels(name, kernels):
    conv = create_conv(name, 16, 24, 3, 2, 1, 1, 2, False)
    assert isinstance(conv, MAGICConv2d)
    assert conv.kernels.shape == (kernels, 24, 8, 3, 3)
    assert (conv.stride, conv.padding, conv.groups, conv.kernel_bias) == ((2, 2), (1, 1), 2, None)


def test_regular_is_the_static_convolution():
    conv = create_conv("regular", 16, 24, 3, padding=1, bias=False)
    assert type(conv) is nn.Conv2d
    assert conv.bias is None


def test_options_reach_the_operator():
    assert create_conv("magic_4x", 16, 16, 3, form="released", temperature=5.0).temperature == 5.0


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"Unknown convolution 'magic4x'. Did you mean magic_4x"):
        create_conv("magic4x", 16, 16, 3)


def test_importing_the_operators_loads_no_heavy_package():
    script = "import magicseg.convs, sys; print({'timm', 'monai', 'hydra', 'pandas'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"
