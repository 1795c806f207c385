"""What the arrays of a case must be like to enter the prepared form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.errors import UserError


def check_arrays(
    image: NDArray[Any],
    label: NDArray[Any],
    num_classes: int,
    where: object,
    instances: NDArray[Any] | None = None,
) -> None:
    """Raise UserError, naming ``where``, unless the arrays may enter the prepared form.

    The label is [D, H, W] or [H, W] without an empty axis and holds whole numbers from 0 to ``num_classes - 1``. The
    image has the same shape, or one more axis of 3 channels (RGB), and is uint8, or floating point (grey only), finite
    and within [0, 1]. Instances, if any, have the label's shape and whole numbers >= 0, at most 65535 different ones
    besides 0.
    """
    _check_shapes(image, label, instances, where)
    check_image(image, rgb=image.ndim > label.ndim, where=where)
    unknown = _unknown_labels(label, num_classes)
    if unknown:
        found = ", ".join(f"{value:g}" for value in unknown[:8])
        raise UserError(f"{where}: the label holds the values {found}; allowed are 0 to {num_classes - 1}.")
    if instances is not None:
        _check_instances(instances, where)


def _check_shapes(image: NDArray[Any], label: NDArray[Any], instances: NDArray[Any] | None, where: object) -> None:
    if image.shape not in (label.shape, (*label.shape, 3)) or label.ndim not in (2, 3) or 0 in label.shape:
        raise UserError(
            f"{where}: the image has shape {image.shape} and the label {label.shape}. Both must have the same shape, "
            "[D, H, W] or [H, W], with no empty axis; an RGB image has one more axis of 3 channels."
        )
    if instances is not None and instances.shape != label.shape:
        raise UserError(
            f"{where}: the instances have shape {instances.shape} and the label {label.shape}; they must be the same."
        )


def check_image(image: NDArray[Any], rgb: bool, where: object) -> None:
    """Raise UserError, naming ``where``, unless the values of an image are such as ``check_arrays`` says."""
    if image.dtype == np.uint8:
        return
    if image.dtype.kind != "f" or rgb:
        raise UserError(
            f"{where}: the {'RGB' if rgb else 'grey'} image holds {image.dtype} values; allowed are uint8"
            + (" only." if rgb else ", or floating point in [0, 1].")
        )
    if not np.isfinite(image).all():
        raise UserError(
            f"{where}: the image holds {(~np.isfinite(image)).sum()} NaN or infinite values; all must be finite."
        )
    if image.min() < 0 or image.max() > 1:
        raise UserError(
            f"{where}: the image ranges from {image.min():g} to {image.max():g}; allowed are values in [0, 1]."
        )


def _unknown_labels(label: NDArray[Any], num_classes: int) -> list[float]:
    if label.dtype.kind in "biu" and int(label.min()) >= 0 and int(label.max()) < num_classes:
        return []  # no need to sort
    values = np.unique(label) if label.dtype.kind in "biuf" else np.array([np.nan])
    return [float(value) for value in values if value not in range(num_classes)]


def _check_instances(instances: NDArray[Any], where: object) -> None:
    if instances.dtype.kind not in "biuf" or not (np.isfinite(instances) & (instances == np.floor(instances))).all():
        raise UserError(f"{where}: the instances hold {instances.dtype} values; allowed are whole numbers >= 0.")
    if instances.min() < 0:
        raise UserError(f"{where}: the instances hold {instances.min()}; allowed are whole numbers >= 0.")
