"""Slices of prepared cases for training, with every random choice derived from (seed, epoch, slice)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from magicseg.data.augmentations import AUGMENTATIONS, Slice
from magicseg.data.cache import SliceCache
from magicseg.data.case import Case, Image, Label
from magicseg.data.transforms import Pair, Preprocessing
from magicseg.errors import choose
from magicseg.seeding import generator

Key = tuple[int, int]  # (epoch, index of the slice)


def cases_to_slices(cases: Sequence[Case]) -> list[tuple[int, int]]:
    """Return (position of the case, number of the slice in it) for every slice of ``cases``, in order."""
    return [(position, number) for position, case in enumerate(cases) for number in range(case.shape[0])]


class SliceDataset(Dataset[tuple[Tensor, Tensor]]):
    """The slices of ``cases`` in ``root`` as the network takes them.

    An item is asked for by (epoch, index) and is the image, float32 [C, h, w], and the label, int64 [h, w]. It is
    changed by the augmentation of the name ``augment`` (one of AUGMENTATIONS), drawn from (``seed``, epoch, index).
    Slices as they are and resized lie ready in ``root/cache`` after their first use.

    Raises:
        UserError: unknown augmentation; later, a case that cannot be read.
    """

    def __init__(
        self, cases: Sequence[Case], root: Path, preprocessing: Preprocessing, augment: str, seed: int
    ) -> None:
        self.cases, self.preprocessing, self.seed = list(cases), preprocessing, seed
        self._augment = AUGMENTATIONS[choose("augmentation", augment, AUGMENTATIONS)]
        self._slices = cases_to_slices(self.cases)
        self._original = SliceCache(root, "original", _as_they_are)
        height, width = preprocessing.size
        self._resized = SliceCache(root, f"{preprocessing.resize}-{height}x{width}", preprocessing.resize_pair)

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor]:
        epoch, index = key
        image, label = self._augment(self._slice(index), generator(self.seed, "augment", epoch, index))
        image, label = self.preprocessing.to_network(image), np.ascontiguousarray(label, np.int64)
        return torch.from_numpy(image), torch.from_numpy(label)

    def _slice(self, index: int) -> Slice:
        position, number = self._slices[index]
        case = self.cases[position]
        _, height, width = case.shape
        original, resized = (partial(cache.read, case, number) for cache in (self._original, self._resized))
        return Slice((height, width), original, resized, self.preprocessing)


def _as_they_are(image: Image, label: Label) -> Pair:
    return image, label


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
