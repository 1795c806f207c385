"""A picture of a label map over its image, with a legend."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image as Picture
from PIL import ImageColor, ImageDraw, ImageFont

from magicseg.data.case import Image, Label
from magicseg.reports.overlays import COLOURS, paint, spread

MOST, COLUMNS = 12, 4  # slices of a volume
SMALLEST = 192  # pixels of a slice's longer side
LINE, FONT = 24, 15  # pixels: the legend's lines and letters


def overlay(image: Image, label: Label, classes: Sequence[str]) -> bytes:
    """Return a png of the label [D, H, W] over the image, [D, H, W] or [D, H, W, 3]; of a volume up to 12 slices."""
    chosen = spread(label.any(axis=(1, 2)), MOST)
    tiles = [_enlarged(paint(outlined(image[z], label[z]), label[z], 0.3)) for z in chosen]
    columns = min(len(tiles), COLUMNS)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    picture = (255 * np.concatenate(rows)).round().astype(np.uint8)
    content = io.BytesIO()
    _with_legend(picture, classes).save(content, "PNG")
    return content.getvalue()


def outlined(image: Image, label: Label) -> np.ndarray:
    """Return the image [H, W, 3] in [0, 1] with the outline of each class in its colour."""
    padded = np.pad(label, 1)  # what lies beyond the image is background
    neighbours = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    outline = np.any([neighbour != label for neighbour in neighbours], axis=0)
    return paint(image, np.where(outline, label, 0), 1.0)


def _enlarged(tile: np.ndarray) -> np.ndarray:
    factor = -(-SMALLEST // max(tile.shape[:2]))
    return tile.repeat(factor, axis=0).repeat(factor, axis=1)


def _with_legend(picture: np.ndarray, classes: Sequence[str]) -> Picture.Image:
    """Return the picture with the names of the classes below it, in as many lines as they need."""
    font, (height, width) = ImageFont.load_default(FONT), picture.shape[:2]
    places, x, y = [], 0, height
    for name in classes:
        length = int(font.getlength(name)) + 2 * LINE
        if x and x + length > width:
            x, y = 0, y + LINE
        places.append((x, y))
        x += length
    sheet = Picture.new("RGB", (width, y + LINE), "white")
    sheet.paste(Picture.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for index, (name, (left, top)) in enumerate(zip(classes, places, strict=True)):
        colour = ImageColor.getrgb(COLOURS[index % len(COLOURS)])
        draw.rectangle((left + 6, top + 6, left + LINE - 6, top + LINE - 6), fill=colour)
        draw.text((left + LINE, top + LINE // 2), name, fill="black", font=font, anchor="lm")
    return sheet
