"""Pictures of a prediction beside the truth: what a number looks like."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from magicseg.files import write_atomic

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#999999")
"""Okabe and Ito's palette: told apart with any colour vision."""


def paint(image: np.ndarray, label: np.ndarray, opacity: float = 0.45) -> np.ndarray:
    """Blend a label map [H, W] over an image; return [H, W, 3] in [0, 1].

    The image is [H, W] or [H, W, 3], in [0, 1] or, uint8, from 0 to 255.
    """
    unit = image / 255 if image.dtype == np.uint8 else image.clip(0, 1)
    picture = np.broadcast_to(unit if image.ndim == 3 else unit[..., None], (*image.shape[:2], 3)).astype(float)
    for index in range(1, int(label.max(initial=0)) + 1):
        inside = label == index
        picture[inside] = (1 - opacity) * picture[inside] + opacity * np.array(to_rgb(COLOURS[(index - 1) % 8]))
    return picture


def contact_sheet(images: np.ndarray, truths: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Return a picture [2 H, N W, 3] of N slices: the truth above, the prediction below.

    Images are [N, H, W] or [N, H, W, C] with 1 or 3 channels, labels [N, H, W].
    """
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    rows = [[paint(*pair) for pair in zip(images, labels, strict=True)] for labels in (truths, predictions)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def save_overlay(
    path: Path, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, classes: Sequence[str], title: str
) -> None:
    """Save a png of up to six slices: image, truth, prediction, and where the two differ.

    Args:
        path: the png to write.
        image: as in a prepared case, [D, H, W] or [D, H, W, 3].
        truth: labels, [D, H, W].
        prediction: labels, [D, H, W].
        classes: names of the labels 1, 2, ...
        title: a line above the picture.
    """
    slices = spread(truth.any(axis=(1, 2)) | prediction.any(axis=(1, 2)), count=6)
    rows, columns = slice(None), slice(None)
    if len(truth) > 1:  # a volume's organs are small; an image is shown whole
        rows, columns = _crop(truth.any(axis=0) | prediction.any(axis=0), margin=12)
    figure, axes = _panels(len(slices), truth.shape[1] / truth.shape[2])
    for column, z in enumerate(slices):
        seen, true, predicted = (volume[z, rows, columns] for volume in (image, truth, prediction))
        wrong = np.where(true != predicted, np.maximum(true, predicted), 0)
        panels = (paint(seen, np.zeros_like(true)), paint(seen, true), paint(seen, predicted), paint(seen, wrong, 0.9))
        for axis, panel in zip(axes[:, column], panels, strict=True):
            axis.imshow(panel, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        if len(truth) > 1:
            axes[0, column].set_title(f"slice {z + 1} of {len(truth)}", fontsize=9)
    for axis, name in zip(axes[:, 0], ("image", "truth", "prediction", "difference"), strict=True):
        axis.set_ylabel(name)
    patches = [Patch(color=COLOURS[index % 8], label=name) for index, name in enumerate(classes)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    figure.suptitle(title, fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_atomic(path, lambda file: file.write(buffer.getvalue()))


def _panels(slices: int, aspect: float) -> tuple[Figure, Any]:
    """Return a figure and its axes [4, slices]; the panels of one slice, high as ``aspect``, stand side by side."""
    size = (12, 2.9 * aspect + 1) if slices == 1 else (2 * slices + 0.6, 8.8)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, 4, squeeze=False).T if slices == 1 else figure.subplots(4, slices, squeeze=False)


def spread(wanted: Any, count: int) -> list[int]:
    """Return up to ``count`` evenly spread indices among the wanted ones; all indices count where none is wanted."""
    indices = np.flatnonzero(wanted) if wanted.any() else np.arange(len(wanted))
    chosen = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    return indices[chosen].tolist()


def _crop(inside: Any, margin: int) -> tuple[slice, slice]:
    """Return the bounding box of ``inside`` [H, W] with a margin, or everything where it is empty."""
    if not inside.any():
        return slice(None), slice(None)
    found = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(max(0, int(i[0]) - margin), int(i[-1]) + margin + 1) for i in found)
    return rows, columns
