"""The prepared data set of a run: its split, its training batches and its validation cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader

from magicseg.data import Case, EpochBatches, Manifest, SliceDataset, Split, prepare, read_prepared, split_cases
from magicseg.errors import UserError
from magicseg.evaluation.predict import predict_slices
from magicseg.evaluation.validation import Validation
from magicseg.reports.overlays import contact_sheet


@dataclass(frozen=True)
class RunData:
    """A prepared data set and its split."""

    root: Path
    manifest: Manifest
    split: Split
    split_name: str

    @property
    def facts(self) -> dict[str, Any]:
        """What a summary says of the data."""
        return {"manifest": self.manifest.digest, "split": self.split_name, "missing": self.split.missing}


def open_data(config: DictConfig) -> RunData:
    """Open the prepared data set of ``config.dataset`` and split it; the phantom is generated where it is missing.

    Raises:
        UserError: the data set is not there, is another one or has other classes, or lacks cases of the split.
    """
    wanted = config.dataset
    root = Path(wanted.root)
    if wanted.name == "phantom" and not (root / "manifest.json").is_file():
        prepare("phantom", None, root)
    manifest = read_prepared(wanted.name, root)
    if manifest.classes[1:] != tuple(wanted.classes):
        raise UserError(
            f"{root} has the classes {', '.join(manifest.classes[1:])}; "
            f"dataset.classes says {', '.join(wanted.classes)}."
        )
    split = split_cases(manifest, wanted.name, wanted.split, allow_missing=wanted.allow_missing)
    return RunData(root, manifest, split, wanted.split)


def training_batches(config: DictConfig, data: RunData, pin_memory: bool) -> DataLoader:
    """Return the loader of (images [B, 1, S, S], labels [B, S, S]) whose sampler's ``epoch`` the loop sets."""
    recipe = config.recipe
    size = (recipe.size, recipe.size)
    dataset = SliceDataset(data.split.train, data.root, size, augment=recipe.augment, seed=config.seed)
    batches = EpochBatches(len(dataset), recipe.batch_size, config.seed, shuffle=True, drop_last=False)
    workers = config.trainer.workers
    return DataLoader(
        dataset, batch_sampler=batches, num_workers=workers, persistent_workers=workers > 0, pin_memory=pin_memory
    )


def validation(config: DictConfig, data: RunData) -> Validation:
    """Return the score that chooses the checkpoint, on the validation cases at the network's size."""
    return Validation({case.name: _tensors(case, config, data) for case in data.split.val}, config.dataset.classes)


def validation_picture(cases: Validation, slices: int = 6) -> Callable[[nn.Module], np.ndarray]:
    """Return a function that draws a model's prediction for the middle slices of the first validation cases."""
    chosen = list(cases.cases.values())[:slices]
    images = torch.stack([images[len(images) // 2] for images, _ in chosen])
    labels = torch.stack([labels[len(labels) // 2] for _, labels in chosen])
    return lambda model: contact_sheet(images[:, 0].numpy(), labels.numpy(), predict_slices(model, images).numpy())


def _tensors(case: Case, config: DictConfig, data: RunData) -> tuple[Tensor, Tensor]:
    size = (config.recipe.size, config.recipe.size)
    slices = SliceDataset([case], data.root, size, augment=False, seed=config.seed)
    images, labels = zip(*(slices[0, index] for index in range(len(slices))), strict=True)
    return torch.stack(images), torch.stack(labels)
