"""How a data set's intensities come to the prepared form: one rule for its own files and for new images alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.sources.arrays import scaled
from magicseg.errors import UserError

LOW, HIGH = -125, 275  # Hounsfield units

Rule = Callable[[NDArray[Any], object], NDArray[Any]]


def as_they_are(image: NDArray[Any], where: object) -> NDArray[Any]:
    """Return the image unchanged: 8 bits, or already scaled to [0, 1]."""
    return image.astype(np.float32) if image.dtype.kind == "f" else image


def abdominal_window(image: NDArray[Any], where: object) -> NDArray[np.float32]:
    """Return a CT in Hounsfield units, clipped to -125 .. 275 and scaled to [0, 1], as in TransUNet.

    Raises:
        UserError: the values, named with ``where``, are not Hounsfield units.
    """
    if not image.min() < LOW:
        raise UserError(f"{where}: the smallest value is {image.min():g}; a CT in Hounsfield units goes below {LOW}.")
    return (np.clip(image.astype(np.float32), LOW, HIGH) - np.float32(LOW)) / np.float32(HIGH - LOW)


def by_type(image: NDArray[Any], where: object) -> NDArray[Any]:
    """Return 8-bit pictures unchanged, and everything else scaled by its minimum and maximum to [0, 1]."""
    return image if image.dtype == np.uint8 else scaled(image, where)


INTENSITIES: dict[str, Rule] = {
    "as_they_are": as_they_are,
    "min_max": scaled,
    "abdominal_window": abdominal_window,
    "by_type": by_type,
}
"""The rules by name; each maps an image and what to call it in errors to an image."""
