from __future__ import annotations

import pytest
from golden_files import check_golden, golden_files

from magicseg.convs import MAGICConv2d

GEOMETRY = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "bias",
    "temperature",
)


def released(config):
    options = {key: config[key] for key in GEOMETRY}
    return MAGICConv2d(**options, num_kernels=config["K"], ratio=config["reduction"], form="released")


def paper_equations(config):
    """Equations 9-11 with the released bottleneck for L_v, as the golden files were made."""
    options = {key: config[key] for key in GEOMETRY}
    bottleneck = {"context_channels": config["in_channels"] // 2, "context_affine": True}
    return MAGICConv2d(**options, **bottleneck, num_kernels=config["K"], ratio=config["reduction"], form="paper")


@pytest.mark.parametrize("path", golden_files("magic"), ids=lambda path: path.stem)
def test_golden_released(path):
    check_golden(path, released)


@pytest.mark.parametrize("path", golden_files("magic_papereq"), ids=lambda path: path.stem)
def test_golden_paper_equations(path):
    check_golden(path, paper_equations)
