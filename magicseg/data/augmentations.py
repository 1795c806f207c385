"""Random changes of training slices, as published: each draws from the generator that it is given and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from magicseg.data.colour import change_brightness, change_contrast, change_hue, change_saturation
from magicseg.data.geometry import rotate, rotate_and_flip, shift_scale_rotate
from magicseg.data.resizing import Size
from magicseg.data.transforms import Pair, Preprocessing, in_unit_range

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Slice:
    """A slice as it is (``shape`` [H, W]) and at the network's size; each is read when it is called."""

    shape: Size
    original: Callable[[], Pair]
    resized: Callable[[], Pair]
    preprocessing: Preprocessing


def none(source: Slice, rng: np.random.Generator) -> Pair:
    """Leave the slice alone."""
    return source.resized()


def transunet(source: Slice, rng: np.random.Generator) -> Pair:
    """TransUNet (Chen et al., 2021): turn and flip, or rotate, or leave alone; then resize.

    Half of the slices are turned by a multiple of 90 degrees and flipped; half of the others are rotated by -20 to 19
    degrees by nearest neighbour.
    """
    change, turning = _turn_or_rotate(rng)
    if change is None:
        return source.resized()
    resized_first = turning and source.preprocessing.commutes_with_turning(source.shape)
    return _change_and_resize(source, change, source.resized() if resized_first else source.original())


def uctransnet(source: Slice, rng: np.random.Generator) -> Pair:
    """UCTransNet (Wang et al., 2022): as TransUNet, but resize first, and again where a turn swaps unequal sides."""
    change, _ = _turn_or_rotate(rng)
    return source.resized() if change is None else _change_and_resize(source, change, source.resized())


def transfuse(source: Slice, rng: np.random.Generator) -> Pair:
    """TransFuse (Zhang et al., 2021), on the resized slice: move, change colours, flip; each half of the time.

    Moving is shift by up to 15 % of height and width, scale by 0.85 to 1.15 and rotation by up to 25 degrees, the
    border 0, labels by nearest neighbour. Colours are albumentations' ColorJitter with its defaults: brightness,
    contrast and saturation by 0.8 to 1.2 and hue by up to a fifth of the circle, in random order.
    """
    image, label = source.resized()
    image = in_unit_range(image)
    if rng.random() < 0.5:
        down, right, scale, angle = rng.uniform([-0.15, -0.15, 0.85, -25], [0.15, 0.15, 1.15, 25]).tolist()
        image = shift_scale_rotate(image, (down, right), scale, angle, "bilinear")
        label = shift_scale_rotate(label, (down, right), scale, angle, "nearest")
    if rng.random() < 0.5:
        image = _jitter(image, rng)
    for axis in (1, 0):
        if rng.random() < 0.5:
            image, label = np.flip(image, axis), np.flip(label, axis)
    return image, label


AUGMENTATIONS: dict[str, Callable[[Slice, np.random.Generator], Pair]] = {
    "none": none,
    "transunet": transunet,
    "uctransnet": uctransnet,
    "transfuse": transfuse,
}


def _turn_or_rotate(rng: np.random.Generator) -> tuple[Change | None, bool]:
    """Draw a change, or none, and tell whether it turns by a multiple of 90 degrees."""
    if rng.random() < 0.5:
        return partial(rotate_and_flip, turns=int(rng.integers(4)), axis=int(rng.integers(2))), True
    if rng.random() < 0.5:
        return partial(rotate, angle=int(rng.integers(-20, 20))), False
    return None, False


def _change_and_resize(source: Slice, change: Change, pair: Pair) -> Pair:
    image, label = pair
    return source.preprocessing.resize_pair(change(image), change(label))


def _jitter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    changes = (change_brightness, change_contrast, change_saturation, change_hue)
    amounts = rng.uniform([0.8, 0.8, 0.8, -0.2], [1.2, 1.2, 1.2, 0.2])
    for number in rng.permutation(4):
        image = changes[number](image, amounts[number])
    return image
