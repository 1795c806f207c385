"""A trained network and a volume -> a label map on the volume's own grid."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from magicseg.data import resize_image, restore_label
from magicseg.errors import UserError
from magicseg.files import write_atomic


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch ``model`` to evaluation without gradients, and back to its former mode afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def predict_slices(model: nn.Module, slices: Tensor, batch_size: int = 16) -> Tensor:
    """Return the most probable class of each pixel: [N, C, H, W] -> [N, H, W] uint8 on the CPU."""
    device = next(model.parameters()).device
    with evaluating(model):
        parts = [model(batch.to(device)).argmax(dim=1).to(torch.uint8).cpu() for batch in slices.split(batch_size)]
    return torch.cat(parts)


def predict_volume(model: nn.Module, volume: np.ndarray, size: int, batch_size: int = 16) -> np.ndarray:
    """Segment a volume slice by slice and return labels [D, H, W] uint8 on its own grid.

    As TransUNet does: each slice is resized to ``size`` x ``size`` by a cubic spline, and the label map back by the
    nearest neighbour (scipy's zoom, corner aligned).

    Args:
        model: maps [B, 1, size, size] to logits.
        volume: intensities in [0, 1], [D, H, W].
        size: side of the network's input, in pixels.
        batch_size: slices at a time.
    """
    slices = np.stack([resize_image(image, (size, size)) for image in volume])[:, None]
    labels = predict_slices(model, torch.from_numpy(slices), batch_size)
    return np.stack([restore_label(label, (volume.shape[1], volume.shape[2])) for label in labels.numpy()])


def save_prediction(path: Path, label: np.ndarray) -> None:
    """Write a label map as a compressed npz (member ``label``), atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, label=label)
    write_atomic(path, lambda file: file.write(buffer.getvalue()))


def load_prediction(path: Path) -> np.ndarray:
    """Read a label map that save_prediction wrote; UserError if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["label"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"Prediction {path} is missing or damaged ({error}). Restore it, or delete the run folder and train again."
        ) from error
