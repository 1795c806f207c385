"""The prepared data of a run: its split, its training batches and its validation cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader

from magicseg.assembly.build import preprocessing
from magicseg.data import (
    Case,
    EpochBatches,
    Manifest,
    SliceDataset,
    Split,
    prepare,
    read_prepared,
    split_cases,
)
from magicseg.errors import UserError
from magicseg.evaluation.predict import predict_slices
from magicseg.evaluation.validation import Validation
from magicseg.files import digest
from magicseg.reports.overlays import contact_sheet


class CaseSet(NamedTuple):
    """Cases and the prepared folder in which they lie."""

    root: Path
    cases: list[Case]


@dataclass(frozen=True)
class RunData:
    """The cases of a run; ``facts`` (digest of the data, split, missing cases) go into its summary."""

    train: CaseSet
    val: CaseSet
    test: CaseSet
    facts: dict[str, Any]


def generate_phantom(dataset: DictConfig) -> None:
    """Generate the data of a run that is to train on the phantom, where they are missing."""
    if dataset.name == "phantom" and not Path(dataset.root, "manifest.json").is_file():
        prepare("phantom", None, Path(dataset.root))


def open_data(config: DictConfig) -> RunData:
    """Open the prepared data of ``config.dataset`` and split them.

    Where ``dataset.train`` names another data set, that one brings training and validation cases (PH2 is only tested).

    Raises:
        UserError: a data set is not there, is another one or has other classes, or lacks cases of the split.
    """
    wanted = config.dataset
    manifest, test = _open(wanted, wanted.classes, wanted.channels, wanted.allow_missing)
    facts = {"manifest": manifest.digest, "split": wanted.split, "missing": test.missing}
    root = Path(wanted.root)
    if "train" not in wanted:
        return RunData(CaseSet(root, test.train), CaseSet(root, test.val), CaseSet(root, test.test), facts)
    other, train = _open(wanted.train, wanted.classes, wanted.channels, wanted.allow_missing)
    facts = {
        "manifest": digest([manifest.digest, other.digest]),
        "split": f"{wanted.split}, trained on {wanted.train.name} {wanted.train.split}",
        "missing": [*test.missing, *train.missing],
    }
    elsewhere = Path(wanted.train.root)
    return RunData(CaseSet(elsewhere, train.train), CaseSet(elsewhere, train.val), CaseSet(root, test.test), facts)


def check_parts(config: DictConfig, data: RunData) -> None:
    """Refuse a split that leaves nothing to train on, to choose by or to score.

    Raises:
        UserError: names the split and the part that is empty.
    """
    split = f"split {data.facts['split']} of {config.dataset.name}"
    for part, cases in (("training", data.train.cases), ("test", data.test.cases)):
        if not cases:
            raise UserError(f"The {split} has no {part} cases. Choose another dataset.split, or prepare more data.")
    if not data.val.cases and config.recipe.selection != "last":
        raise UserError(
            f"recipe.selection={config.recipe.selection}, but the {split} has no validation cases. "
            "Use recipe.selection=last."
        )


def fill_in(dataset: DictConfig) -> None:
    """Set what the configuration leaves to the prepared data (null): classes, channels, scaling, digest of content."""
    if None in dataset.values():
        manifest = read_prepared(dataset.name, Path(dataset.root))
        found = {
            "classes": list(manifest.classes[1:]),
            "channels": manifest.cases[0].channels,
            "intensity": "min_max" if "intensity" in manifest.cases[0].source else "by_type",  # a fact of volumes
            "content": manifest.digest,
        }
        dataset.update({key: value for key, value in found.items() if key in dataset and dataset[key] is None})


def _open(wanted: DictConfig, classes: ListConfig, channels: int, allow_missing: bool) -> tuple[Manifest, Split]:
    root = Path(wanted.root)
    manifest = read_prepared(wanted.name, root)
    if wanted.get("merge_classes", False):
        manifest = manifest.merged(classes[0])
    if manifest.classes[1:] != tuple(classes):
        raise UserError(
            f"{root} has the classes {', '.join(manifest.classes[1:])}; dataset.classes says {', '.join(classes)}."
        )
    if (found := {case.channels for case in manifest.cases}) != {channels}:
        numbers = " and ".join(map(str, sorted(found)))
        raise UserError(f"{root} has images with channels={numbers}; dataset.channels says {channels}.")
    return manifest, split_cases(manifest, wanted.name, wanted.split, allow_missing=allow_missing)


def training_batches(config: DictConfig, data: RunData, pin_memory: bool) -> DataLoader:
    """Return the loader of (images [B, C, h, w], labels [B, h, w]) whose sampler's ``epoch`` the loop sets."""
    recipe, (root, cases) = config.recipe, data.train
    dataset = SliceDataset(cases, root, preprocessing(recipe), augment=recipe.augment, seed=config.seed)
    batches = EpochBatches(len(dataset), recipe.batch_size, config.seed, shuffle=True, drop_last=False)
    workers = config.trainer.workers
    return DataLoader(
        dataset, batch_sampler=batches, num_workers=workers, persistent_workers=workers > 0, pin_memory=pin_memory
    )


def validation_cases(config: DictConfig, data: RunData) -> dict[str, tuple[Tensor, Tensor]]:
    """Return name -> (images [D, C, h, w], labels [D, h, w]) of the validation cases, at the network's size."""
    return {case.name: _tensors(case, config, data.val.root) for case in data.val.cases}


def validation_picture(cases: Validation, slices: int = 6) -> Callable[[nn.Module], np.ndarray] | None:
    """Return a function that draws a model's prediction for the middle slices of the first validation cases."""
    if not cases.depths:
        return None
    starts = np.cumsum([0, *cases.depths])
    middle = [int(start) + depth // 2 for start, depth in zip(starts[:slices], cases.depths[:slices], strict=False)]
    images, labels = cases.images[middle], cases.labels[middle]
    return lambda model: contact_sheet(_visible(images), labels.numpy(), predict_slices(model, images).numpy())


def _visible(images: Tensor) -> np.ndarray:
    """Return [N, C, H, W] of any range as [N, H, W, C] in [0, 1]."""
    low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    return ((images - low) / (high - low).clamp(min=1e-6)).permute(0, 2, 3, 1).numpy()


def _tensors(case: Case, config: DictConfig, root: Path) -> tuple[Tensor, Tensor]:
    slices = SliceDataset([case], root, preprocessing(config.recipe), augment="none", seed=config.seed)
    images, labels = zip(*(slices[0, index] for index in range(len(slices))), strict=True)
    return torch.stack(images), torch.stack(labels)
