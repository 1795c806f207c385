"""Images and masks in PNG, JPEG, BMP and TIFF files: read to arrays, or refused with the reason.

Nothing is guessed: what has no single meaning (16-bit or CMYK images, masks whose colour channels differ) is refused.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Label
from magicseg.data.sources.source import Volume
from magicseg.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_GREY, _COLOUR, _WHOLE = ("1", "L", "LA"), ("P", "RGB", "RGBA"), ("I", "I;16", "I;16B", "I;16L")
_PACKED = {"L;2": 85, "L;4": 17}  # grey of 2 or 4 bits a pixel, which Pillow stretches to 0..255 by these factors


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as RGB, uint8 `[H, W, 3]`, turned upright as its EXIF orientation says.

    Grey becomes three equal channels, palettes their colours; alpha is dropped, not blended.

    Raises:
        UserError: the file is damaged, no PNG, JPEG, BMP or TIFF, has several frames or more than 89 million pixels;
            or the image has 16 bits a channel (its white level is not told) or CMYK colours (its inks are not told).
    """
    return np.asarray(_image(path).convert("RGB"))


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Return an image as grey values, uint8 `[H, W]`; colour becomes luma (ITU-R 601). Otherwise as `read_image`."""
    return np.asarray(_image(path).convert("L"))


def is_grey(path: Path) -> bool:
    """Return whether the file stores grey values (1 bit, 8 bit, or a palette of greys) rather than colours.

    Raises:
        UserError: as `read_image`.
    """
    image = _image(path)
    return image.mode in _GREY or (image.mode == "P" and _grey_levels(image) is not None)


def read_mask(path: Path) -> NDArray[np.integer[Any]]:
    """Return the whole numbers that a mask stores, `[H, W]`: 1-bit masks as 0 and 1, 16-bit ones unchanged.

    A palette of distinct greys gives the grey value, any other palette the index; colour channels must be equal and
    alpha opaque. The EXIF orientation is applied as to images.

    Raises:
        UserError: the file is damaged, no PNG, JPEG, BMP or TIFF, has several frames or more than 89 million pixels;
            or it holds colours, transparency or fractions, from which no label follows.
    """
    image, stored = _open(path)
    values: NDArray[Any] = np.asarray(image)
    if image.mode == "P":
        return _from_palette(values, image)
    if image.mode not in (*_GREY, *_COLOUR, *_WHOLE) or (image.mode in _COLOUR and ";16" in stored):
        raise UserError(f"{path}: the mask's pixels are {stored}; allowed are whole numbers in one channel.")
    if image.mode in ("LA", "RGBA"):
        values = _without_alpha(values, path)
    if values.ndim == 3:
        values = _one_channel(values, path)
    return values.astype(np.uint8) if image.mode == "1" else values // _PACKED.get(stored, 1)


def read_pair(image_file: Path, mask_file: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    """Return image `[H, W, 3]` and mask `[H, W]` of the same size.

    Raises:
        UserError: as `read_image` and `read_mask`, or the sizes differ.
    """
    image, mask = read_image(image_file), read_mask(mask_file)
    if image.shape[:2] != mask.shape:
        (height, width), (rows, columns) = image.shape[:2], mask.shape
        raise UserError(
            f"{image_file} is {width} x {height} pixels, its mask {mask_file.name} {columns} x {rows}; both must agree."
        )
    return image, mask


def read_binary(image_file: Path, mask_file: Path) -> Volume:
    """Return the case of an image and its mask of one object: 0 and 1, or 0 and 255.

    Raises:
        UserError: as `read_pair` and `binary_label`.
    """
    image, mask = read_pair(image_file, mask_file)
    return Volume(image[np.newaxis], binary_label(mask, mask_file)[np.newaxis])


def binary_label(mask: NDArray[np.integer[Any]], where: object) -> Label:
    """Return label 1 where a mask of 0 and 1 is 1, or where one of 0 to 255 is above 127.

    Raises:
        UserError: the values, named with ``where``, are neither.
    """
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or 1 < high <= 127 or high > 255:
        raise UserError(
            f"{where}: the mask ranges from {low} to {high}; allowed are 0 and 1, or 0 and 255 (values between them, "
            "as after interpolation, count as object above 127)."
        )
    return (mask > (0 if high == 1 else 127)).astype(np.uint8)


def _image(path: Path) -> Any:
    """Return an upright Pillow image of 8 bits a channel, grey or coloured."""
    image, stored = _open(path)
    if image.mode not in (*_GREY, *_COLOUR) or ";16" in stored:
        raise UserError(f"{path}: the image's pixels are {stored}; allowed are grey and RGB of 8 bits. Convert it.")
    return image


def _open(path: Path) -> tuple[Any, str]:
    """Return the upright Pillow image, and how the file stores its pixels."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, which is not used
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                stored = _stored(image)
                frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
                image.load()
                upright = ImageOps.exif_transpose(image)
    except Exception as error:  # on damaged files Pillow's decoders raise nearly every kind
        raise UserError(
            f"{path} is damaged, too large or no {', '.join(_FORMATS)} file ({error}). Unpack or download it again."
        ) from error
    if frames != 1:
        raise UserError(f"{path}: holds {frames} frames; allowed is a single image.")
    upright.info.pop("transparency", None)
    return upright, stored


def _stored(image: Any) -> str:
    """Return the stored type of pixels, e.g. ``RGB;16B``: of 16 bits in colour, Pillow silently keeps the upper 8."""
    arguments = image.tile[0][3] if image.tile else None
    raw = arguments[0] if isinstance(arguments, tuple) else arguments
    return raw if isinstance(raw, str) else str(image.mode)


def _grey_levels(image: Any) -> NDArray[np.uint8] | None:
    """Return the grey value of each palette entry; None if the palette has colours."""
    colours = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    levels = np.zeros(256, np.uint8)
    levels[: len(colours)] = colours[:, 0]
    return levels if (colours == colours[:, :1]).all() else None


def _from_palette(indices: NDArray[np.uint8], image: Any) -> NDArray[np.uint8]:
    levels, used = _grey_levels(image), np.unique(indices)
    one_to_one = levels is not None and len(np.unique(levels[used])) == len(used)
    return levels[indices] if levels is not None and one_to_one else indices


def _without_alpha(values: NDArray[Any], path: Path) -> NDArray[Any]:
    if (values[..., -1] != 255).any():
        raise UserError(f"{path}: the mask is partly transparent; allowed are opaque masks, because alpha is no label.")
    return values[..., :-1]


def _one_channel(values: NDArray[Any], path: Path) -> NDArray[Any]:
    if (values != values[..., :1]).any():
        raise UserError(
            f"{path}: the mask's red, green and blue differ; allowed are grey masks, or palettes of class indices."
        )
    return values[..., 0]
