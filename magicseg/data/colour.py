"""Changing colours: images [H, W, 3] or grey ones [H, W], float32 in [0, 1], stay within [0, 1].

The formulas are those of torchvision and albumentations, which differ from each other in rounding to 8 bits only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.float32]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def change_brightness(image: Colours, factor: float) -> Colours:
    """Return the image with every value multiplied by ``factor``."""
    return _blend(image, np.float32(0), factor)


def change_contrast(image: Colours, factor: float) -> Colours:
    """Return the image with the distances to its mean luminance multiplied by ``factor``."""
    return _blend(image, _luminance(image).mean(dtype=np.float64).astype(np.float32), factor)


def change_saturation(image: Colours, factor: float) -> Colours:
    """Return the image with the distances to its luminance multiplied by ``factor``; a grey one as it is."""
    return image if image.ndim == 2 else _blend(image, _luminance(image)[..., None], factor)


def change_hue(image: Colours, shift: float) -> Colours:
    """Return the image with its hues moved by ``shift`` times the colour circle; a grey one as it is."""
    if image.ndim == 2:
        return image
    value, spread = image.max(axis=2), np.ptp(image, axis=2)
    sector = 6 * np.float32(shift) + _sector(image, spread)
    channels = [value - spread * np.clip(_distance(sector + offset), 0, 1) for offset in (5, 3, 1)]
    return np.stack(channels, axis=2)


def _blend(image: Colours, other: Colours | np.float32, factor: float) -> Colours:
    return np.clip(np.float32(factor) * image + np.float32(1 - factor) * other, 0, 1)


def _luminance(image: Colours) -> Colours:
    return (
        image
        if image.ndim == 2
        else image[..., 0] * LUMINANCE[0] + image[..., 1] * LUMINANCE[1] + image[..., 2] * LUMINANCE[2]
    )


def _sector(image: Colours, spread: Colours) -> Colours:
    """Return the hue of each pixel in sixths of the circle, from red at 0 over green at 2 and blue at 4."""
    red, green, blue = np.moveaxis(image, 2, 0)
    steps = np.where(spread > 0, spread, 1)
    largest = image.argmax(axis=2)
    return np.choose(largest, [(green - blue) / steps, 2 + (blue - red) / steps, 4 + (red - green) / steps])


def _distance(sector: Colours) -> Colours:
    """Return how far a channel is from its largest value, in sixths of the circle (below 0: it has that value)."""
    k = np.mod(sector, 6)
    return np.minimum(k, 4 - k)
