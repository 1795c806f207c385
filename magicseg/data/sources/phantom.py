"""A made-up cardiac data set: short-axis slices with RV, myocardium and LV, for a first run without any download.

It is drawn from a seed and looks like cine MRI as far as a segmentation network is concerned: the classes' intensities
overlap through texture, coil bias and noise, bright organs lie around the heart, and the outer slices are partly empty.
Scores on it say nothing about a method's worth on patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from magicseg.data.case import Image, Label, Spacing
from magicseg.data.sources.source import DatasetFormat, Source, SourceCase, Volume
from magicseg.errors import UserError
from magicseg.seeding import generator

SEED, SUBJECTS = 0, 30
DEPTH, SIZE = 8, 96
SPACING: Spacing = (10.0, 1.5, 1.5)
RV, MYO, LV = 1, 2, 3

Array = NDArray[np.float64]
Rng = np.random.Generator
Organ = tuple[Array, float, float]  # centre, radius, grey value


@dataclass(frozen=True)
class Anatomy:
    """One subject: positions and lengths in mm from the image centre, angles in radians, grey values about [0, 1]."""

    centre: Array  # (y, x) of the LV axis
    lv_radius: float
    wall: float
    rv_radius: float
    rv_angle: float
    contraction: float  # end-systolic to end-diastolic LV radius
    shape: Array  # Fourier coefficients of the outline
    tilt: Array  # shift of the axis from base to apex
    first: float  # slices above the valve plane
    length: float  # slices from valve plane to apex
    blood: float
    muscle: float
    body: float
    fat: float
    chest: Array  # semi-axes of the chest


def find(folder: Path | None) -> Source:
    """Return the phantom's 30 subjects with two frames each, ED and ES.

    Raises:
        UserError: a folder is given, though there is nothing to read.
    """
    if folder is not None:
        raise UserError(f"The phantom is drawn, not read: leave out source={folder}.")
    cases = []
    for number in range(1, SUBJECTS + 1):
        for frame, phase in ((1, "ED"), (2, "ES")):
            subject = f"phantom{number:02d}"
            recipe = f"phantom 2, seed {SEED}, subject {number}, frame {frame}"
            name = f"{subject}_frame{frame:02d}"
            cases.append(SourceCase(name, subject, (), recipe, partial(draw, number, frame), {"phase": phase}))
    return Source(f"drawn, seed {SEED}", cases)


def draw(number: int, frame: int, seed: int = SEED) -> Volume:
    """Return subject ``number`` at end-diastole (``frame`` 1) or end-systole (2): 8 slices of 96x96."""
    anatomy = _anatomy(generator(seed, "anatomy", number))
    surroundings = generator(seed, "surroundings", number)
    tissue, organs = _texture(surroundings, 4), _organs(surroundings)
    bias = np.exp(0.45 * _texture(surroundings, 32))
    rng = generator(seed, "acquisition", number, frame)
    slices = [_slice(anatomy, z, frame == 2, tissue, organs, rng) for z in range(DEPTH)]
    clean = np.stack([image for image, _ in slices]) * bias
    sigma = rng.uniform(0.05, 0.09)
    noisy = np.hypot(clean + rng.normal(0, sigma, clean.shape), rng.normal(0, sigma, clean.shape))  # Rician
    grey = (noisy - noisy.min()) / (noisy.max() - noisy.min())
    image: Image = (np.round(grey * 1023) / 1023).astype(np.float32)  # whole grey values: the same on every processor
    label: Label = np.stack([label for _, label in slices])
    return Volume(image, label, SPACING)


def _anatomy(rng: Rng) -> Anatomy:
    return Anatomy(
        centre=rng.uniform(-10, 10, 2),
        lv_radius=rng.uniform(19, 27),
        wall=rng.uniform(7, 11),
        rv_radius=rng.uniform(27, 36),
        rv_angle=np.pi + rng.uniform(-0.5, 0.5),
        contraction=rng.uniform(0.55, 0.8),
        shape=rng.normal(0, 1, (3, 2)) * np.array([[0.06], [0.03], [0.02]]),
        tilt=rng.uniform(-8, 8, 2),
        first=rng.uniform(-0.5, 1.2),
        length=rng.uniform(6.2, 7.8),
        blood=rng.uniform(0.55, 0.8),
        muscle=rng.uniform(0.28, 0.42),
        body=rng.uniform(0.4, 0.7),
        fat=rng.uniform(0.08, 0.25),
        chest=np.array([rng.uniform(54, 64), rng.uniform(62, 76)]),
    )


def _texture(rng: Rng, scale: float) -> Array:
    """Return a smooth random field of about unit range, its grains ``scale`` pixels wide."""
    field = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), scale, mode="reflect")
    return np.asarray((field - field.mean()) / (2 * field.std()))


def _organs(rng: Rng) -> list[Organ]:
    """Return vessels, liver and stomach around the heart."""
    angles = rng.uniform(0.15 * np.pi, 0.85 * np.pi, 4)  # below the heart
    distances, radii = rng.uniform(42, 60, 4), rng.uniform(5, 18, 4)
    centres = [
        distance * np.array([np.sin(angle), np.cos(angle)]) for distance, angle in zip(distances, angles, strict=True)
    ]
    return list(zip(centres, radii.tolist(), rng.uniform(0.3, 0.85, 4).tolist(), strict=True))


def _chest(a: Anatomy, y: Array, x: Array, tissue: Array, organs: list[Organ]) -> Array:
    """Return the image without the heart: air, body wall, lungs, organs, and fat in the middle."""
    chest = np.hypot(y / a.chest[0], x / a.chest[1])
    image = _paint(0.08 + 0.05 * tissue, 62 * (1 - chest), a.body)
    image = _paint(image, 62 * (0.86 - chest), 0.1 + 0.06 * tissue)
    image = _paint(image, a.lv_radius + 22 - np.hypot(y - a.centre[0], x - a.centre[1]), a.fat + 0.15 * tissue)
    for centre, radius, value in organs:
        image = _paint(image, radius - np.hypot(y - centre[0], x - centre[1]), value + 0.15 * tissue)
    return image


def _slice(a: Anatomy, z: int, systole: bool, tissue: Array, organs: list[Organ], rng: Rng) -> tuple[Array, Label]:
    """Return the noiseless image and the label of slice ``z``, base first."""
    y, x = (np.indices((SIZE, SIZE)) - (SIZE - 1) / 2) * SPACING[1]
    image = _chest(a, y, x, tissue, organs)
    depth = (z - a.first) / (a.length - (0.8 if systole else 0.0))  # 0 at the valve plane, 1 at the apex
    cy, cx = a.centre + a.tilt * (depth - 0.5) + rng.normal(0, 1.2, 2)  # each slice is its own breath-hold
    y, x = y - cy, x - cx
    if depth < 0:
        atrium = _paint(image, 26 - np.hypot(y, x), a.blood + 0.1 * tissue)
        return _blur(atrium), np.zeros((SIZE, SIZE), np.uint8)
    lv, epi, rv = _outlines(a, y, x, depth, systole)
    image = _paint(image, rv, a.blood + 0.2 * tissue)
    image = _paint(image, epi, a.muscle + 0.12 * tissue)
    image = _paint(image, lv, a.blood + 0.1 * tissue)
    image = _paint_papillary(image, lv, y, x, a)
    label = np.select([lv > 0, epi > 0, rv > 0], [LV, MYO, RV], 0).astype(np.uint8)
    return _blur(image), label


def _outlines(a: Anatomy, y: Array, x: Array, depth: float, systole: bool) -> tuple[Array, Array, Array]:
    """Return the distance inside LV cavity, epicardium and RV (mm, negative outside); all negative below the apex."""
    size = np.sqrt(max(0.0, 1 - depth**2))  # half an ellipsoid
    angle = np.arctan2(y, x)
    wave = 1 + sum(c * np.cos(k * angle) + s * np.sin(k * angle) for k, (c, s) in enumerate(a.shape, start=2))
    radius = np.hypot(y, x) / wave
    cavity = a.lv_radius * size * (a.contraction if systole else 1.0)
    wall = a.wall * (1.35 if systole else 1.0) if size > 0 else -np.inf
    right = a.rv_radius * (size - 0.25) * (0.8 if systole else 1.0)  # the RV ends before the apex
    away = 0.75 * (cavity + max(wall, 0)) + 0.2 * max(right, 0)
    crescent = right - np.hypot((y - away * np.sin(a.rv_angle)) * 0.85, x - away * np.cos(a.rv_angle)) / wave
    return cavity - 3 - radius, cavity + wall - radius, crescent


def _paint_papillary(image: Array, lv: Array, y: Array, x: Array, a: Anatomy) -> Array:
    """Draw two dark papillary muscles, which are labelled as cavity."""
    reach = max(0.0, float(lv.max())) * 0.6
    for angle in (a.rv_angle + 2.2, a.rv_angle - 2.2):
        inside = 0.22 * reach - np.hypot(y - reach * np.sin(angle), x - reach * np.cos(angle))
        image = _paint(image, inside, np.full_like(image, a.muscle + 0.08))
    return image


def _paint(image: Array, inside: Array, value: Array | float) -> Array:
    """Return the image with ``value`` where ``inside`` (mm) is positive, the border about a pixel wide."""
    share = np.clip(inside / SPACING[1] + 0.5, 0, 1)
    return np.asarray((1 - share) * image + share * value)


def _blur(image: Array) -> Array:
    return np.asarray(ndimage.gaussian_filter(image, 0.7))


FORMAT = DatasetFormat(
    classes=("background", "RV", "Myo", "LV"),
    find=find,
    advice="The phantom needs no download: python scripts/prepare_data.py dataset=phantom",
)
