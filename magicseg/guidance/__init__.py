"""Structural guidance: SGE extracts it, SGDC and ContMix refine features by it, GuidedPyramid joins them."""

from magicseg.guidance.contmix import ContMix
from magicseg.guidance.pyramid import GuidedPyramid
from magicseg.guidance.sgdc import SGDC
from magicseg.guidance.sge import SGE

__all__ = ["SGDC", "SGE", "ContMix", "GuidedPyramid"]
