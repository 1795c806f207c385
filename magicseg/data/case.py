"""One prepared case: image, label and perhaps instances in one npz file, checked whenever it is read or written."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.checks import check_arrays
from magicseg.errors import UserError
from magicseg.files import sha256, write_atomic

Image = NDArray[np.float32] | NDArray[np.uint8]
Label = NDArray[np.uint8]
Instances = NDArray[np.uint16]
Arrays = dict[str, Any]  # the arrays of one case by name: image, label, perhaps instances
Spacing = tuple[float, float, float]

MOST_INSTANCES = np.iinfo(np.uint16).max
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Case:
    """What the manifest knows of a case.

    ``file`` is relative to the prepared folder. ``sha256`` is the hash of that file, ``content`` the hash of the
    arrays inside, which does not depend on how they were compressed. ``shape`` is [D, H, W] (a 2D image has D = 1),
    ``spacing`` [z, y, x] in mm (None if the source does not tell), ``intensity`` the smallest and largest image value,
    ``label_counts`` the voxels of each class, ``source`` where the case came from. ``channels`` is 3 for RGB images,
    ``instances`` the number of instances (None if there is no instance map). ``merged`` tells that the file holds more
    classes, which are read as one.
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
    channels: int = 1
    instances: int | None = None
    merged: bool = False

    def merge_classes(self) -> Case:
        """Return the case as it is when all classes but the background count as one."""
        counts = (self.label_counts[0], sum(self.label_counts[1:]))
        return replace(self, label_counts=counts, content=_merged_content(self.content), merged=True)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Case:
        """Return the case that ``dataclasses.asdict`` and JSON turned into ``entry``."""
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
        return cls(**fields)


def write_case(
    root: Path,
    name: str,
    subject: str,
    image: Image,
    label: Label,
    spacing: Spacing | None,
    num_classes: int,
    source: dict[str, Any],
    instances: NDArray[Any] | None = None,
) -> Case:
    """Write the arrays to ``root/cases/<name>.npz`` atomically and return their entry.

    The image is [D, H, W] or [D, H, W, 3], label and instances [D, H, W]. Instances are numbered 1, 2, ... in the
    order of their ids in the source.

    Raises:
        UserError: the name or the arrays are not fit for the prepared form, or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot name a case: allowed are letters, digits, '_', '-' and '.' (not first).")
    check_arrays(image, label, num_classes, name, instances)
    arrays: Arrays = {
        "image": np.ascontiguousarray(image, np.uint8 if image.dtype == np.uint8 else np.float32),
        "label": np.ascontiguousarray(label, np.uint8),
    }
    if instances is not None:
        arrays["instances"] = _numbered(instances, name)
    path = root / "cases" / f"{name}.npz"
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))
    return _entry(name, subject, path, arrays, spacing, num_classes, source)


def _numbered(instances: NDArray[Any], where: object) -> Instances:
    """Return the map with its ids other than 0 replaced by 1, 2, ... in ascending order."""
    ids, positions = np.unique(instances, return_inverse=True)
    if (count := np.count_nonzero(ids)) > MOST_INSTANCES:
        raise UserError(f"{where}: holds {count} instances; allowed are at most {MOST_INSTANCES}.")
    return np.asarray(positions.reshape(instances.shape) + (ids[0] != 0), np.uint16)


def _entry(
    name: str,
    subject: str,
    path: Path,
    arrays: Arrays,
    spacing: Spacing | None,
    num_classes: int,
    source: dict[str, Any],
) -> Case:
    image, label, instances = arrays["image"], arrays["label"], arrays.get("instances")
    depth, height, width = label.shape
    return Case(
        name=name,
        subject=subject,
        file=f"cases/{path.name}",
        sha256=sha256(path),
        content=_content_hash(arrays),
        shape=(depth, height, width),
        spacing=spacing,
        intensity=(float(image.min()), float(image.max())),
        label_counts=tuple(np.bincount(label.ravel(), minlength=num_classes).tolist()),
        unlabelled_slices=int((label.reshape(depth, -1).max(axis=1) == 0).sum()),
        source=source,
        channels=3 if image.ndim == 4 else 1,
        instances=None if instances is None else int(instances.max()),
    )


def load_case(root: Path, case: Case) -> tuple[Image, Label]:
    """Return the image and the label (uint8 [D, H, W]) of a case.

    The image is float32 [D, H, W] in [0, 1], or uint8 0..255, [D, H, W] (grey) or [D, H, W, 3] (RGB).

    Raises:
        UserError: the file is missing, damaged, or does not hold what was prepared.
    """
    image, label, _ = load_all(root, case)
    return image, label


def load_instances(root: Path, case: Case) -> Instances | None:
    """Return the instance map of a case, uint16 [D, H, W]: 0 for none, then 1 to ``case.instances``; None without one.

    Raises:
        UserError: the file is missing, damaged, or does not hold what was prepared.
    """
    return None if case.instances is None else load_all(root, case)[2]


def load_all(root: Path, case: Case) -> tuple[Image, Label, Instances | None]:
    """Return image, label and instances of a case as ``load_case`` and ``load_instances`` do, reading its file once.

    The arrays are those that were written: their hash is that of arrays which have passed the checks.

    Raises:
        UserError: the file is missing, damaged, or does not hold what was prepared.
    """
    path = root / case.file
    arrays = _read_arrays(path)
    if not _is_of(case, arrays):
        raise UserError(
            f"{path} does not hold the values that were prepared: it has been changed or replaced. "
            "Delete it and prepare the data again; only this case will be written."
        )
    label = arrays["label"]
    return arrays["image"], np.minimum(label, 1) if case.merged else label, arrays.get("instances")


def _read_arrays(path: Path) -> Arrays:
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist, though the manifest names it. Prepare the data again.") from error
    except Exception as error:  # on wrong bytes, NumPy and zipfile raise nearly every kind
        raise UserError(f"{path} is damaged or no npz file ({error}). Delete it and prepare the data again.") from error


def _is_of(case: Case, arrays: Arrays) -> bool:
    types = {name: getattr(array, "dtype", None) for name, array in arrays.items()}  # NumPy gives bytes if it is none
    image_type = types.pop("image", None)
    expected = {"label": np.uint8} if case.instances is None else {"label": np.uint8, "instances": np.uint16}
    if types != expected or image_type not in (np.uint8, np.float32) or arrays["label"].shape != case.shape:
        return False
    content = _content_hash(arrays)
    return case.content == (_merged_content(content) if case.merged else content)


def _content_hash(arrays: Arrays) -> str:
    content = hashlib.sha256(str(arrays["image"].shape).encode())
    for name in ("image", "label", "instances"):
        if name in arrays:
            content.update(np.ascontiguousarray(arrays[name]).data)
    return content.hexdigest()


def _merged_content(content: str) -> str:
    return hashlib.sha256(f"{content} merged".encode()).hexdigest()
