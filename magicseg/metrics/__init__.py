"""Metrics of segmentation, usable alone: overlap, surface distances, panoptic quality, protocols and their scores."""

from magicseg.metrics.measurement import Measurement, measure_case
from magicseg.metrics.overlap import (
    Counts,
    accuracy,
    confusion_matrix,
    count,
    dice,
    iou,
    macro_iou,
    precision,
    sensitivity,
    specificity,
)
from magicseg.metrics.protocol import Protocol
from magicseg.metrics.scores import ClassScore, apply_protocol, score_case
from magicseg.metrics.summary import METRICS, SegmentationScores, summarise
from magicseg.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "METRICS",
    "ClassScore",
    "Counts",
    "Measurement",
    "Protocol",
    "SegmentationScores",
    "SurfaceDistances",
    "accuracy",
    "apply_protocol",
    "confusion_matrix",
    "count",
    "dice",
    "iou",
    "macro_iou",
    "measure_case",
    "precision",
    "score_case",
    "sensitivity",
    "specificity",
    "summarise",
    "surface_distances",
]
