"""Metrics of segmentation, usable alone: overlap, surface distances, panoptic quality, protocols and their scores."""

from magicseg.metrics.instances import connected_components, split_instances, watershed
from magicseg.metrics.measurement import Measurement, measure_case
from magicseg.metrics.overlap import (
    DICE_FORMS,
    IOU_FORMS,
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
from magicseg.metrics.panoptic import (
    PanopticQuality,
    mean_pq,
    panoptic_quality,
    panoptic_quality_per_class,
    pooled,
)
from magicseg.metrics.protocol import Protocol
from magicseg.metrics.scores import ClassScore, apply_protocol, score_case
from magicseg.metrics.summary import METRICS, SegmentationScores, summarise
from magicseg.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "DICE_FORMS",
    "IOU_FORMS",
    "METRICS",
    "ClassScore",
    "Counts",
    "Measurement",
    "PanopticQuality",
    "Protocol",
    "SegmentationScores",
    "SurfaceDistances",
    "accuracy",
    "apply_protocol",
    "confusion_matrix",
    "connected_components",
    "count",
    "dice",
    "iou",
    "macro_iou",
    "mean_pq",
    "measure_case",
    "panoptic_quality",
    "panoptic_quality_per_class",
    "pooled",
    "precision",
    "score_case",
    "sensitivity",
    "specificity",
    "split_instances",
    "summarise",
    "surface_distances",
    "watershed",
]
