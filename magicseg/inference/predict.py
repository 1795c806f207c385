"""Image files -> label maps on their own grids, pictures, and the volume of each class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from magicseg.assembly.trained import TrainedNetwork
from magicseg.errors import UserError
from magicseg.evaluation.predict import predict_slices, to_grid, to_network
from magicseg.files import sha256, write_atomic
from magicseg.inference.destination import Destination
from magicseg.inference.flips import FlipAveraged
from magicseg.inference.items import Item
from magicseg.inference.pictures import overlay
from magicseg.inference.scan import Reader, Scan
from magicseg.inference.volumes import Rows, measure, write_rows


@dataclass
class Outcome:
    """What became of the images: how many were segmented now or before, and why the others were not."""

    done: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)


class _Loaded(NamedTuple):
    item: Item
    scan: Scan
    slices: Tensor  # [D, C, h, w]


@dataclass(frozen=True)
class Predictor:
    """Segments image files with the network of a run.

    ``flips`` averages the probabilities over four mirrored views; ``batch_size`` is in slices, of one file or several;
    ``overlays`` draws a picture of each.
    """

    network: TrainedNetwork
    read: Reader
    device: torch.device
    flips: bool = False
    batch_size: int = 16
    overlays: bool = True
    progress: bool = True

    def __call__(self, items: list[Item], destination: Destination, overwrite: bool = False) -> Outcome:
        """Segment the images into ``destination``, but for those that were segmented before with the same settings.

        An image that cannot be read is left out, and its reason returned; the others are segmented.

        Raises:
            UserError: the destination holds other predictions, or those of other images of the same name, or another
                process works on it, or a batch does not fit into the memory.
        """
        with destination.alone():
            return self._predict(items, destination, overwrite)

    def _predict(self, items: list[Item], destination: Destination, overwrite: bool) -> Outcome:
        rows = destination.open(self._settings(), {item.target for item in items}, overwrite)
        wanted = [item for item in items if overwrite or str(item.target) not in rows]
        kept = [] if overwrite else [item for item in items if str(item.target) in rows]
        _refuse_other_images(kept, destination, rows)
        outcome = Outcome(kept=len(kept))
        model = (FlipAveraged(self.network.model).eval() if self.flips else self.network.model).to(self.device)
        try:
            bar = tqdm(wanted, desc="segmenting", unit="file", disable=not self.progress)
            for group in self._groups(bar, outcome):
                for loaded, labels in self._segment(model, group):
                    self._finish(loaded, labels, destination, rows, outcome)
        finally:
            write_rows(destination.volumes, rows)
        return outcome

    def _settings(self) -> dict[str, Any]:
        network, recipe = self.network, self.network.config.recipe
        return {
            "run": network.folder.path.name,
            "checkpoint": sha256(network.checkpoint),
            "epoch": network.epoch,
            "classes": list(network.classes),
            "intensity": self.read.intensity,
            "size": list(network.preprocessing.size),
            "resize": recipe.resize,
            "normalise": recipe.normalise,
            "flips": self.flips,
        }

    def _groups(self, items: Iterable[Item], outcome: Outcome) -> Iterator[list[_Loaded]]:
        """Read images until their slices fill a batch."""
        group: list[_Loaded] = []
        for item in items:
            try:
                scan = self.read(item.path)
                group.append(_Loaded(item, scan, to_network(scan.image, self.network.preprocessing)))
            except UserError as error:
                outcome.failed.append(str(error))
            except MemoryError:
                outcome.failed.append(f"{item.path} does not fit into the memory.")
            if sum(len(loaded.slices) for loaded in group) >= self.batch_size:
                yield group
                group = []
        if group:
            yield group

    def _segment(self, model: nn.Module, group: list[_Loaded]) -> Iterator[tuple[_Loaded, Tensor]]:
        try:
            labels = predict_slices(model, torch.cat([loaded.slices for loaded in group]), self.batch_size)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"batch_size={self.batch_size} does not fit into the memory of {self.device}. Choose less."
            ) from error
        return zip(group, labels.split([len(loaded.slices) for loaded in group]), strict=True)

    def _finish(
        self, loaded: _Loaded, labels: Tensor, destination: Destination, rows: dict[str, Rows], outcome: Outcome
    ) -> None:
        """Write the label map and the picture of one image, and enter its volumes."""
        (item, scan, _), classes, name = loaded, self.network.classes, str(loaded.item.target)
        label = to_grid(labels, scan.image, self.network.preprocessing)
        try:
            content = scan.encode(label)
            write_atomic(destination.labels / item.target, lambda file: file.write(content))
            if self.overlays:
                picture = overlay(scan.image, label, classes)
                write_atomic(destination.overlay_of(item.target), lambda file: file.write(picture))
        except UserError as error:
            outcome.failed.append(str(error))
            return
        rows[name] = measure(name, sha256(item.path), label, classes, scan.spacing)
        outcome.done += 1


def _refuse_other_images(items: list[Item], destination: Destination, rows: Mapping[str, Rows]) -> None:
    """Refuse a label map that was made from another image than the one of its name; older tables do not tell."""
    for item in items:
        image = rows[str(item.target)][0].get("image")
        if image and image != sha256(item.path):
            raise UserError(
                f"{destination.labels / item.target} was made from another image than {item.path}. "
                "Choose another output, or replace it with overwrite=true."
            )
