"""The rows of MAGIC's ablations (Tables 6 and 7) are operators with the switches that their labels name."""

import pytest
from command_line import configuration
from hydra.utils import instantiate

from magicseg.reports.paper_tables import paper_table


def rows(table):
    return {row.label: row.conv for row in paper_table(table).rows}


def operator(conv):
    config = configuration(f"conv={conv}").conv
    assert config.name == conv
    return instantiate(config.operator)(16, 16, 3, padding=1)


@pytest.mark.parametrize(("label", "conv"), rows("magic_table6").items())
def test_table_6_switches_the_branches(label, conv):
    layer = operator(conv)
    assert (layer.spatial, layer.channel, layer.non_local) == tuple(name in label for name in ("SP", "CH", "NL"))
    assert (layer.num_kernels, layer.recalculation, layer.form) == (4, True, "paper")


@pytest.mark.parametrize(("label", "conv"), rows("magic_table7").items())
def test_table_7_switches_kernel_recalculation(label, conv):
    layer = operator(conv)
    assert layer.recalculation == ("w/o KR" not in label)
    assert f"_{layer.num_kernels}x" in conv
    assert layer.spatial
    assert layer.channel
    assert layer.non_local
