"""Image and label arrays in npz, h5 and npy files: read whole, or refused with the file's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.errors import UserError

Pair = tuple[NDArray[Any], NDArray[Any]]
Keys = Sequence[tuple[str, str]]  # names that image and label may have


@contextmanager
def damage(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever the reader of a ``kind`` file raises into a UserError that names ``path``."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # on wrong bytes, readers raise nearly every kind
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} is damaged or no {kind} file ({reason}). Unpack or download it again.") from error


@contextmanager
def open_arrays(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open an npz or h5 file as a mapping from names to arrays, each read by ``[()]``.

    Raises:
        UserError: the file cannot be opened, or what is read from it is damaged.
    """
    kind = path.suffix.lower().removeprefix(".")
    with damage(path, kind):
        if kind == "h5":
            import h5py

            with h5py.File(path, "r") as file:
                yield file
        else:
            with np.load(path) as arrays:
                yield arrays


def read_arrays(path: Path, keys: Keys) -> Pair:
    """Return image and label of an npz or h5 file that holds them under one of the pairs of names ``keys``.

    Raises:
        UserError: the file is damaged, or holds other names or anything but numbers.
    """
    with open_arrays(path) as arrays:
        image, label = names_of(arrays, keys, path)
        return check_numbers(arrays[image][()], path), check_numbers(arrays[label][()], path)


def names_of(arrays: Mapping[str, Any], keys: Keys, path: Path) -> tuple[str, str]:
    """Return the first pair of names of image and label that ``arrays`` has; raise UserError if it has none."""
    for image, label in keys:
        if image in arrays and label in arrays:
            return image, label
    expected = " or ".join(f"{image} and {label}" for image, label in keys)
    raise UserError(f"{path}: holds {', '.join(sorted(arrays)) or 'nothing'}; expected are {expected}.")


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array of an npy file, mapped into memory: only what is used is read.

    Raises:
        UserError: the file is damaged or does not hold numbers.
    """
    with damage(path, "npy"):
        array = np.lib.format.open_memmap(path, mode="r")
    return check_numbers(array, path)


def check_numbers(values: Any, path: Path) -> NDArray[Any]:
    """Return ``values`` if they are an array of real numbers without an empty axis; raise UserError otherwise."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise UserError(f"{path}: holds {getattr(values, 'dtype', type(values).__name__)}; expected are real numbers.")
    if 0 in values.shape:
        raise UserError(f"{path}: holds an array of shape {values.shape}; no axis may be empty.")
    return values


def check_axes(array: NDArray[Any], ndim: int, path: Path) -> None:
    """Raise UserError unless ``array`` has the number of axes that the name of its file promises."""
    if array.ndim != ndim:
        raise UserError(f"{path}: an array has {array.ndim} axes; its name says that it has {ndim}.")


def scaled(volume: NDArray[Any], where: object) -> NDArray[np.float32]:
    """Return ``volume`` scaled by its minimum and maximum to [0, 1]; NaN and infinity are left for others to report.

    Raises:
        UserError: all values are equal.
    """
    values = volume.astype(np.float64)
    low, high = values.min(), values.max()
    if low == high:
        raise UserError(f"{where}: every voxel has the value {low:g}; an image must hold more than one value.")
    with np.errstate(invalid="ignore"):
        return ((values - low) / (high - low)).astype(np.float32)


def stack_slices(paths: Sequence[Path], read: Callable[[Path], Pair]) -> Pair:
    """Return the volumes, [D, H, W], whose slices ``read`` gives for each of ``paths`` in their order.

    Raises:
        UserError: the slices have different sizes, or ``read`` refuses one.
    """
    images, labels = zip(*(read(path) for path in paths), strict=True)
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f"{path}: the slice has shape {image.shape}, but {paths[0].name} has {images[0].shape}; all must agree."
            )
    return np.stack(images), np.stack(labels)
