"""Convolution operators: each a stand-in for `nn.Conv2d`, to be used by name or by class."""

from magicseg.convs.condconv import CondConv2d
from magicseg.convs.create import create_conv, list_convs
from magicseg.convs.dcd import DCDConv2d
from magicseg.convs.ddconv import DDConv2d
from magicseg.convs.dyconv import DYConv2d
from magicseg.convs.involution import Involution2d
from magicseg.convs.magic import MAGICConv2d
from magicseg.convs.odconv import ODConv2d
from magicseg.convs.replace import replace_convs
from magicseg.convs.static_start import load_static_
from magicseg.convs.temperature import TemperatureSchedule, set_temperature
from magicseg.convs.weightnet import WeightNetConv2d

__all__ = [
    "CondConv2d",
    "DCDConv2d",
    "DDConv2d",
    "DYConv2d",
    "Involution2d",
    "MAGICConv2d",
    "ODConv2d",
    "TemperatureSchedule",
    "WeightNetConv2d",
    "create_conv",
    "list_convs",
    "load_static_",
    "replace_convs",
    "set_temperature",
]
