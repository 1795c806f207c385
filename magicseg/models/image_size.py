"""The image size that a network with position embeddings is made for."""

from __future__ import annotations

from collections.abc import Sequence


def grid_of(image_size: int | Sequence[int], stride: int) -> tuple[int, int]:
    """Return the rows and columns of the map that is ``stride`` times smaller than the image.

    Args:
        image_size: the side of a square, or (height, width), in pixels.
        stride: what both must be multiples of.

    Raises:
        ValueError: they are not; names the nearest legal size.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if height < 1 or width < 1 or height % stride or width % stride:
        legal = [max(stride, round(side / stride) * stride) for side in (height, width)]
        raise ValueError(
            f"image_size {height}x{width} is not a multiple of {stride}; "
            f"the nearest legal size is {legal[0]}x{legal[1]}."
        )
    return height // stride, width // stride
