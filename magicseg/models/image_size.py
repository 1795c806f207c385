"""The image sizes that a network takes."""

from __future__ import annotations

from collections.abc import Sequence


def check_size(name: str, height: int, width: int, stride: int) -> None:
    """Raise ValueError that names the nearest legal size unless both sides are positive multiples of ``stride``."""
    if height < 1 or width < 1 or height % stride or width % stride:
        legal = [max(stride, round(side / stride) * stride) for side in (height, width)]
        raise ValueError(
            f"{name} {height}x{width} is not a multiple of {stride}; the nearest legal size is {legal[0]}x{legal[1]}."
        )


def grid_of(image_size: int | Sequence[int], stride: int) -> tuple[int, int]:
    """Return the rows and columns of the map that is ``stride`` times smaller than the image.

    Args:
        image_size: the side of a square, or (height, width), in pixels.
        stride: what both must be multiples of.

    Raises:
        ValueError: they are not; names the nearest legal size.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    check_size("image_size", height, width, stride)
    return height // stride, width // stride
