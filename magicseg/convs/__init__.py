"""Convolution operators: each a stand-in for `nn.Conv2d`, to be used by name or by class."""

from magicseg.convs.create import create_conv, list_convs
from magicseg.convs.magic import MAGICConv2d

__all__ = ["MAGICConv2d", "create_conv", "list_convs"]
