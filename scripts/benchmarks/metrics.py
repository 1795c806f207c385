"""HD95 and ASD of all classes of a volume: magicseg beside medpy and MONAI, interleaved, on one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from medpy.metric import binary as medpy
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from numpy.typing import NDArray

from magicseg.arguments import parse
from magicseg.metrics.surface import borders_per_class

Labels = NDArray[np.uint8]
Method = Callable[[Labels, Labels, int], list[tuple[float, float]]]


@dataclass
class Options:
    """Compare the time of surface distances.

    ``repeats``: measurements of the small volume; the median is printed. ``large``: also a volume of the size of an
    abdominal CT, once (gigabytes of memory). ``medpy_on_large``: medpy there too (minutes).
    """

    repeats: int = 15
    large: bool = False
    medpy_on_large: bool = False


def main(arguments: Sequence[str] = ()) -> None:
    """Print times, ratios and the largest difference to magicseg's values."""
    options = parse(Options, arguments)
    torch.set_num_threads(1)
    compare("cardiac MRI", *heart(), METHODS, options.repeats)
    if options.large:
        methods = {name: method for name, method in METHODS.items() if name != "medpy" or options.medpy_on_large}
        compare("abdominal CT with far false positives", *abdomen(), methods, repeats=1)


def of_magicseg(prediction: Labels, truth: Labels, n_classes: int) -> list[tuple[float, float]]:
    """Return (HD95, ASD) of each class, all from one pass over the label maps."""
    found = [borders.distances() for borders in borders_per_class(prediction, truth, n_classes) if borders]
    return [(distances.hd95, distances.asd) for distances in found]


def of_medpy(prediction: Labels, truth: Labels, n_classes: int) -> list[tuple[float, float]]:
    """Return (HD95, ASD) of each class as TransUNet and its successors compute them."""
    masks = [(prediction == label, truth == label) for label in range(1, n_classes + 1)]
    return [(float(medpy.hd95(*pair)), float(medpy.asd(*pair))) for pair in masks]


def of_monai(prediction: Labels, truth: Labels, n_classes: int) -> list[tuple[float, float]]:
    """Return (HD95, ASD) of each class; MONAI's HD95 is the larger one of two directions."""
    values = []
    for label in range(1, n_classes + 1):
        p, t = (torch.from_numpy(labels == label)[None, None] for labels in (prediction, truth))
        hd95 = compute_hausdorff_distance(p, t, include_background=True, percentile=95)
        asd = compute_average_surface_distance(p, t, include_background=True)
        values.append((hd95.item(), asd.item()))
    return values


METHODS: dict[str, Method] = {"magicseg": of_magicseg, "medpy": of_medpy, "MONAI": of_monai}


def compare(title: str, prediction: Labels, truth: Labels, methods: dict[str, Method], repeats: int) -> None:
    """Measure the methods in turn, ``repeats`` times, and print one line each."""
    n_classes = int(truth.max())
    values: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            values[name] = np.array(method(prediction, truth, n_classes))
            seconds[name].append(time.perf_counter() - start)
    print(f"\n{title}: {'x'.join(map(str, truth.shape))}, {n_classes} classes, median of {repeats}, one thread")
    own = statistics.median(seconds["magicseg"])
    for name in methods:
        median = statistics.median(seconds[name])
        hd95, asd = np.abs(values[name] - values["magicseg"]).max(axis=0)
        print(f"{name:9} {median:9.4f} s   {median / own:6.1f} x   differs: HD95 {hd95:.2g}, ASD {asd:.2g} voxels")


def heart() -> tuple[Labels, Labels]:
    """Return prediction and truth of the size of an ACDC volume: right ventricle, myocardium, left ventricle."""
    truth = np.zeros((10, 256, 216), np.uint8)
    for label, (y, x, radius) in enumerate([(125, 85, 30), (128, 118, 34), (128, 118, 24)], start=1):
        truth[_ball(truth.shape, (4.5, y, x), (6, radius, radius))] = label
    return _disturb(truth, shift=2), truth


def abdomen() -> tuple[Labels, Labels]:
    """Return prediction and truth of the size of a Synapse volume: eight organs and far false positives."""
    truth = np.zeros((150, 512, 512), np.uint8)
    rng = np.random.default_rng(0)
    centres = [(z, y, x) for z in (50, 100) for y in (170, 340) for x in (170, 340)]
    for label, centre in enumerate(centres, start=1):
        truth[_ball(truth.shape, centre, rng.uniform((12, 30, 30), (22, 75, 75)))] = label
    prediction = _disturb(truth, shift=3)
    for label, (z, y, x) in enumerate(centres, start=1):
        prediction[_ball(truth.shape, (150 - z, 490 if y < 256 else 20, 490 if x < 256 else 20), (4, 8, 8))] = label
    return prediction, truth


def _ball(shape: tuple[int, ...], centre: Iterable[float], radii: Iterable[float]) -> NDArray[np.bool_]:
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    return np.less(sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True)), 1)


def _disturb(truth: Labels, shift: int) -> Labels:
    """Shift each slice by up to ``shift`` pixels along both axes."""
    rng = np.random.default_rng(1)
    shifts = rng.integers(-shift, shift + 1, (len(truth), 2))
    return np.stack([np.roll(image, tuple(step), axis=(0, 1)) for image, step in zip(truth, shifts, strict=True)])
