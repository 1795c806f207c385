"""A trained network and a volume -> a label map on the volume's own grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from magicseg.data import Preprocessing
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


def labels_of(logits: Tensor) -> Tensor:
    """Return the most probable class of each pixel, uint8: [B, classes, H, W] -> [B, H, W].

    One logit alone stands for a binary task: its object is where the probability is above 0.5.
    """
    return (logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(dim=1)).to(torch.uint8)


def predict_slices(model: nn.Module, slices: Tensor, batch_size: int = 16) -> Tensor:
    """Return the labels of each slice: [N, C, H, W] -> [N, H, W] uint8 on the CPU."""
    device = next(model.parameters()).device
    with evaluating(model):
        return torch.cat([labels_of(model(batch.to(device))).cpu() for batch in slices.split(batch_size)])


def predict_volume(
    model: nn.Module, volume: np.ndarray, preprocessing: Preprocessing, batch_size: int = 16
) -> np.ndarray:
    """Segment a volume slice by slice and return labels [D, H, W] uint8 on its own grid.

    Args:
        model: maps [B, C, h, w] to logits.
        volume: as in a prepared case, [D, H, W] or [D, H, W, 3].
        preprocessing: how a slice comes to the network and its labels come back.
        batch_size: slices at a time.
    """
    labels = predict_slices(model, to_network(volume, preprocessing), batch_size)
    return to_grid(labels, volume, preprocessing)


def to_network(volume: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """Return the slices of a volume [D, H, W] or [D, H, W, 3] as the network takes them: [D, C, h, w]."""
    return torch.from_numpy(np.stack([preprocessing.image(image) for image in volume]))


def to_grid(labels: Tensor, volume: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Return predicted labels [D, h, w] on the grid of the volume that they were predicted for: [D, H, W]."""
    return np.stack([preprocessing.restore(label, (volume.shape[1], volume.shape[2])) for label in labels.numpy()])


def save_prediction(path: Path, label: np.ndarray) -> None:
    """Write a label map as a compressed npz (member ``label``), atomically."""
    write_atomic(path, lambda file: np.savez_compressed(file, label=label))


def load_prediction(path: Path) -> np.ndarray:
    """Read a label map that save_prediction wrote; UserError if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["label"]
    except Exception as error:  # on wrong bytes, NumPy and zipfile raise nearly every kind
        raise UserError(
            f"Prediction {path} is missing or damaged ({error}). Restore it, or delete the run folder and train again."
        ) from error
