"""Small image files for made-up data sets."""

import numpy as np
from PIL import Image


def write_image(path, seed=0, size=(6, 5)):
    """Write a random RGB image of ``size`` (H, W) and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def write_mask(path, values=(0, 255), size=(6, 5)):
    """Write a mask whose rows take ``values`` in turn, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size, np.uint8)
    for row in range(size[0]):
        mask[row] = values[row % len(values)]
    Image.fromarray(mask).save(path)
    return mask
