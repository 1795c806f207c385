"""From a slice of a prepared case to the network's input, and from the network's labels back to the slice's grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Image, Label
from magicseg.data.resizing import METHODS, Size, nearest, resize_linear, resize_nearest
from magicseg.errors import UserError, choose

NORMALISATIONS = ("none", "imagenet")
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

Pair = tuple[Image, Label]


@dataclass(frozen=True)
class Preprocessing:
    """How slices come to the network.

    ``size``: (height, width) of its input in pixels. ``resize``: "spline" as TransUNet and its successors do (scipy's
    zoom; labels by nearest neighbour) or "bilinear" as the repositories for RGB images do (OpenCV's rule; labels
    bilinearly too, each pixel then gets the class with the largest share). ``normalise``: "none" leaves intensities in
    [0, 1]; "imagenet" subtracts ImageNet's mean and divides by its standard deviation, for RGB images.

    Raises:
        UserError: an unknown method or a size that is not positive.
    """

    size: Size
    resize: str = "spline"
    normalise: str = "none"

    def __post_init__(self) -> None:
        choose("resizing", self.resize, METHODS)
        choose("normalisation", self.normalise, NORMALISATIONS)
        if len(self.size) != 2 or min(self.size) < 1:
            raise UserError(f"The size {self.size} is not a (height, width) in pixels; both must be at least 1.")

    def image(self, array: Image) -> NDArray[np.float32]:
        """Return an image, [H, W] or [H, W, 3], as the network takes it: [C, h, w]."""
        return self.to_network(self.resize_image(array))

    def label(self, array: Label) -> Label:
        """Return a label map [H, W] at the network's size: [h, w]."""
        if array.shape == self.size:
            return array
        return resize_nearest(array, self.size, self.resize) if self.resize == "spline" else self._largest_share(array)

    def restore(self, label: Label, shape: Size) -> Label:
        """Return predicted labels [h, w] on the grid of their slice, ``shape`` [H, W], by nearest neighbour."""
        return label if label.shape == shape else resize_nearest(label, shape, self.resize)

    def resize_image(self, array: Image) -> Image:
        """Return an image, [H, W] or [H, W, 3], at the network's size, its intensities not yet normalised.

        8-bit images are rounded to 8 bits again after bilinear resizing, as OpenCV does (which may round otherwise),
        and divided by 255 before a spline, which may overshoot.
        """
        if array.shape[:2] == self.size:
            return array
        if self.resize == "spline":
            return resize_linear(in_unit_range(array), self.size, "spline")
        resized = resize_linear(array, self.size, "bilinear")
        return np.rint(resized).astype(np.uint8) if array.dtype == np.uint8 else resized

    def resize_pair(self, image: Image, label: Label) -> Pair:
        """Return image and label at the network's size, the image not yet normalised."""
        return self.resize_image(image), self.label(label)

    def to_network(self, image: Image) -> NDArray[np.float32]:
        """Return an image that has the network's size as the network takes it: normalised, [C, h, w].

        Raises:
            UserError: ImageNet's statistics are asked for and the image is grey.
        """
        image = in_unit_range(image)
        if self.normalise == "imagenet":
            if image.ndim != 3:
                raise UserError("normalise=imagenet is for RGB images, and these are grey. Allowed for them: none.")
            image = (image - IMAGENET_MEAN) / IMAGENET_STD
        return np.ascontiguousarray(image[None] if image.ndim == 2 else image.transpose(2, 0, 1))

    def commutes_with_turning(self, shape: Size) -> bool:
        """Tell whether a slice of ``shape`` may be turned by 90 degrees and flipped after resizing instead of before.

        So it is for splines to a square if they treat both ends of an axis alike. Those that leave the last row 0 do
        not, nor does nearest neighbour where a pixel lies half-way between two others.
        """
        (height, width), (h, w) = shape, self.size
        return self.resize == "spline" and h == w and _mirrors(height, h) and _mirrors(width, w)

    def _largest_share(self, label: Label) -> Label:
        """Return the class with the largest share of each pixel; of equal ones the smallest."""
        classes = np.flatnonzero(np.bincount(label.ravel()))
        shares = [resize_linear(label == number, self.size, "bilinear") for number in classes]
        return classes[np.argmax(shares, axis=0)].astype(np.uint8)


def in_unit_range(image: Image) -> NDArray[np.float32]:
    """Return an 8-bit image divided by 255, and any other one as it is."""
    return (
        image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image.astype(np.float32, copy=False)
    )


@cache
def _mirrors(n: int, m: int) -> bool:
    """Tell whether a spline from ``n`` samples to ``m``, and nearest neighbour, give the same from either end.

    The spline does where nearest neighbour does: both lose the same last sample.
    """
    chosen = nearest("spline", n, m)
    return np.array_equal(chosen[::-1], n - 1 - chosen)
