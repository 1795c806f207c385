"""One prepared case: a volume of images with its labels in one npz file, checked whenever it is read or written."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.errors import UserError
from magicseg.files import sha256, write_atomic

Image = NDArray[np.float32]
Label = NDArray[np.uint8]
Spacing = tuple[float, float, float]

# what NumPy and zipfile raise on files that are cut off or hold wrong bytes
_DAMAGE = (OSError, ValueError, EOFError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Case:
    """What the manifest knows of a case.

    ``file`` is relative to the prepared folder. ``sha256`` is the hash of that file, ``content`` the hash of the
    arrays inside, which does not depend on how they were compressed. ``shape`` is [D, H, W], ``spacing`` [z, y, x] in
    mm (None if the source does not tell), ``intensity`` the smallest and largest image value, ``label_counts`` the
    voxels of each class, ``source`` where the case came from.
    """

    name: str
    subject: str
    file: str
    sha256: str
    content: str
    shape: tuple[int, int, int]
    spacing: Spacing | None
    intensity: tuple[float, float]
    label_counts: tuple[int, ...]
    unlabelled_slices: int
    source: dict[str, Any]

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Case:
        """Return the case that ``dataclasses.asdict`` and JSON turned into ``entry``."""
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
        return cls(**fields)


def check_arrays(image: NDArray[Any], label: NDArray[Any], num_classes: int, where: object) -> None:
    """Raise UserError, naming ``where``, unless image and label may enter the prepared form.

    Both have the same shape, [D, H, W] or [H, W], and no empty axis; the image is finite and within [0, 1]; the label
    holds whole numbers from 0 to ``num_classes - 1``.
    """
    if image.shape != label.shape or image.ndim not in (2, 3) or 0 in image.shape:
        raise UserError(
            f"{where}: the image has shape {image.shape} and the label {label.shape}. "
            "Both must have the same shape, [D, H, W] or [H, W], with no empty axis."
        )
    if not np.isfinite(image).all():
        raise UserError(
            f"{where}: the image holds {(~np.isfinite(image)).sum()} NaN or infinite values; all must be finite."
        )
    if image.min() < 0 or image.max() > 1:
        raise UserError(
            f"{where}: the image ranges from {image.min():g} to {image.max():g}; allowed are values in [0, 1]."
        )
    unknown = sorted(set(np.unique(label).tolist()) - set(range(num_classes)))
    if unknown:
        found = ", ".join(f"{value:g}" for value in unknown[:8])
        raise UserError(f"{where}: the label holds the values {found}; allowed are 0 to {num_classes - 1}.")


def write_case(
    root: Path,
    name: str,
    subject: str,
    image: Image,
    label: Label,
    spacing: Spacing | None,
    num_classes: int,
    source: dict[str, Any],
) -> Case:
    """Write image and label, both [D, H, W], to ``root/cases/<name>.npz`` atomically and return their entry.

    Raises:
        UserError: the arrays are not fit for the prepared form, or the file cannot be written.
    """
    check_arrays(image, label, num_classes, name)
    image, label = np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label, np.uint8)
    depth, height, width = image.shape
    path = root / "cases" / f"{name}.npz"
    write_atomic(path, lambda file: np.savez_compressed(file, image=image, label=label))
    return Case(
        name=name,
        subject=subject,
        file=f"cases/{name}.npz",
        sha256=sha256(path),
        content=_content_hash(image, label),
        shape=(depth, height, width),
        spacing=spacing,
        intensity=(float(image.min()), float(image.max())),
        label_counts=tuple(np.bincount(label.ravel(), minlength=num_classes).tolist()),
        unlabelled_slices=int((label.reshape(depth, -1).max(axis=1) == 0).sum()),
        source=source,
    )


def load_case(root: Path, case: Case) -> tuple[Image, Label]:
    """Return the image (float32, in [0, 1]) and the label (uint8) of a case, both [D, H, W].

    Raises:
        UserError: the file is missing, damaged, or does not hold what the manifest says.
    """
    path = root / case.file
    image, label = _read_arrays(path)
    check_arrays(image, label, len(case.label_counts), path)
    if image.shape != case.shape:
        raise UserError(
            f"{path}: holds a volume of shape {image.shape}; the manifest says {case.shape}. Prepare the data again."
        )
    return image, label


def _read_arrays(path: Path) -> tuple[Image, Label]:
    try:
        with np.load(path) as arrays:
            if sorted(arrays) != ["image", "label"]:
                raise UserError(f"{path}: holds the arrays {', '.join(sorted(arrays))}; expected are image, label.")
            return arrays["image"], arrays["label"]
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist, though the manifest names it. Prepare the data again.") from error
    except _DAMAGE as error:
        raise UserError(f"{path} is damaged or no npz file ({error}). Prepare the data again.") from error


def _content_hash(image: Image, label: Label) -> str:
    return hashlib.sha256(str(image.shape).encode() + image.tobytes() + label.tobytes()).hexdigest()
