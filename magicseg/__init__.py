"""Dynamic convolutions for medical image segmentation, and the papers' tables with your numbers beside them."""

__version__ = "0.1.0"
