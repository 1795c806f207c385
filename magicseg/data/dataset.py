"""Slices of prepared cases for training, with every random choice derived from (seed, epoch, slice)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from magicseg.data.case import Case, Image, Label, load_case
from magicseg.data.transforms import (
    Size,
    commutes_with_resizing,
    resize_image,
    resize_label,
    rotate,
    rotate_and_flip,
)
from magicseg.seeding import generator

Key = tuple[int, int]  # (epoch, index of the slice)
Pair = tuple[Image, Label]


def cases_to_slices(cases: Sequence[Case]) -> list[tuple[int, int]]:
    """Return (position of the case, number of the slice in it) for every slice of ``cases``, in order."""
    return [(position, number) for position, case in enumerate(cases) for number in range(case.shape[0])]


class SliceDataset(Dataset[tuple[Tensor, Tensor]]):
    """The slices of ``cases`` in ``root``, resized to ``size`` (height, width).

    An item is asked for by (epoch, index) and is the image, float32 [1, H, W], and the label, int64 [H, W]. With
    ``augment``, TransUNet's augmentation is drawn from (``seed``, epoch, index): half of the slices are turned by a
    multiple of 90 degrees and flipped, half of the others rotated by -20 to 19 degrees, the rest left alone; then
    all are resized. Each process reads a volume once and keeps it, and its resized slices, in memory.
    """

    def __init__(self, cases: Sequence[Case], root: Path, size: Size, augment: bool, seed: int) -> None:
        self.cases, self.root, self.size, self.augment, self.seed = list(cases), root, size, augment, seed
        self._slices = cases_to_slices(self.cases)
        self._volumes: dict[int, Pair] = {}
        self._resized: dict[int, Pair] = {}

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor]:
        epoch, index = key
        image, label = self._augmented(epoch, index) if self.augment else self._resize(index)
        return torch.tensor(image[None].copy()), torch.tensor(label.astype(np.int64))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the cached arrays behind when a worker process gets its copy."""
        return {**self.__dict__, "_volumes": {}, "_resized": {}}

    def _augmented(self, epoch: int, index: int) -> Pair:
        rng = generator(self.seed, "augment", epoch, index)
        if rng.random() < 0.5:
            return self._turned(index, turns=int(rng.integers(4)), axis=int(rng.integers(2)))
        if rng.random() < 0.5:
            angle = int(rng.integers(-20, 20))
            image, label = self._original(index)
            return self._to_size(rotate(image, angle), rotate(label, angle))
        return self._resize(index)

    def _turned(self, index: int, turns: int, axis: int) -> Pair:
        _, height, width = self.cases[self._slices[index][0]].shape
        resize_first = commutes_with_resizing((height, width), self.size)  # then the work is done already
        image, label = self._resize(index) if resize_first else self._original(index)
        image, label = rotate_and_flip(image, turns, axis), rotate_and_flip(label, turns, axis)
        return (image, label) if resize_first else self._to_size(image, label)

    def _resize(self, index: int) -> Pair:
        if index not in self._resized:
            self._resized[index] = self._to_size(*self._original(index))
        return self._resized[index]

    def _to_size(self, image: Image, label: Label) -> Pair:
        return resize_image(image, self.size), resize_label(label, self.size)

    def _original(self, index: int) -> Pair:
        position, number = self._slices[index]
        if position not in self._volumes:
            self._volumes[position] = load_case(self.root, self.cases[position])
        image, label = self._volumes[position]
        return image[number], label[number]


class EpochBatches(Sampler[list[Key]]):
    """Batches of (epoch, index) over ``n`` slices; set ``epoch`` before each pass.

    The order comes from (``seed``, epoch). The epoch travels in the keys, so that workers which outlive an epoch know
    it too, and any number of workers gives the same batches.

    Raises:
        ValueError: there would be no batch.
    """

    def __init__(self, n: int, batch_size: int, seed: int, shuffle: bool, drop_last: bool) -> None:
        self.n, self.batch_size, self.seed, self.shuffle, self.drop_last = n, batch_size, seed, shuffle, drop_last
        self.epoch = 0
        if batch_size < 1 or len(self) < 1:
            rule = "batch_size from 1 to n with drop_last" if drop_last else "batch_size >= 1 and n >= 1"
            raise ValueError(f"n={n} slices with batch_size={batch_size} give no batch; needed: {rule}.")

    def __len__(self) -> int:
        return self.n // self.batch_size if self.drop_last else -(-self.n // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.arange(self.n)
        if self.shuffle:
            generator(self.seed, "shuffle", self.epoch).shuffle(order)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield [(self.epoch, int(index)) for index in order[start : start + self.batch_size]]
