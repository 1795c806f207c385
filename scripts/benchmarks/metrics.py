"""HD95 and ASD of all classes of a volume beside medpy and MONAI, panoptic quality beside a plain loop; one thread.

The methods take turns, so that a change of the machine's load hits all alike.
"""

from __future__ import annotations

import itertools
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from medpy.metric import binary as medpy
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from numpy.typing import NDArray

from magicseg.arguments import parse
from magicseg.data import load_case, read_prepared
from magicseg.metrics import measure_case, panoptic_quality
from magicseg.metrics.surface import borders_per_class

Labels = NDArray[np.uint8]
Instances = NDArray[np.int32]
Method = Callable[[Labels, Labels, int], list[tuple[float, float]]]


@dataclass
class Options:
    """Compare the time of surface distances and of panoptic quality, and measure the memory of a case.

    ``repeats``: measurements of the small images; the median is printed. ``acdc``: folder of the prepared ACDC, whose
    first volume then takes the place of a generated heart. ``large``: also a volume of the size of an abdominal CT,
    once (gigabytes of memory). ``medpy_on_large``: medpy there too (minutes).
    """

    repeats: int = 15
    acdc: Path | None = None
    large: bool = False
    medpy_on_large: bool = False


def main(arguments: Sequence[str] = ()) -> None:
    """Print times, ratios, the largest difference to magicseg's values, and memory."""
    options = parse(Options, arguments)
    torch.set_num_threads(1)
    compare("cardiac MRI", *(heart() if options.acdc is None else real_heart(options.acdc)), METHODS, options.repeats)
    compare_panoptic(options.repeats)
    if options.large:
        print_memory(*abdomen())
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
    values, seconds = timed(methods, (prediction, truth, n_classes), repeats)
    print(f"\n{title}: {'x'.join(map(str, truth.shape))}, {n_classes} classes, median of {repeats}, one thread")
    for name in methods:
        hd95, asd = np.abs(np.subtract(values[name], values["magicseg"])).max(axis=0)
        ratio = seconds[name] / seconds["magicseg"]
        print(f"{name:9} {seconds[name]:9.4f} s   {ratio:6.1f} x   differs: HD95 {hd95:.2g}, ASD {asd:.2g} voxels")


def compare_panoptic(repeats: int) -> None:
    """Measure the panoptic quality of a crowded patch beside a plain loop over its nuclei, and print both."""
    pair = nuclei()
    methods = {"magicseg": lambda p, t: panoptic_quality(p, t).pq, "loop": loop_over_nuclei}
    values, seconds = timed(methods, pair, repeats)
    print(f"\npanoptic quality: 256x256, {pair[1].max()} nuclei, median of {repeats}, one thread")
    for name in methods:
        ratio = seconds[name] / seconds["magicseg"]
        print(f"{name:9} {1e3 * seconds[name]:9.3f} ms  {ratio:6.1f} x   PQ {values[name]:.6f}")


def timed(
    methods: Mapping[str, Callable[..., Any]], arguments: tuple[Any, ...], repeats: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the value and the median seconds of each method; the methods take turns."""
    values: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            values[name] = method(*arguments)
            seconds[name].append(time.perf_counter() - start)
    return values, {name: statistics.median(times) for name, times in seconds.items()}


def print_memory(prediction: Labels, truth: Labels) -> None:
    """Print the most memory that measuring a case takes beyond its label maps (NumPy's; the k-d trees are SciPy's)."""
    n_classes = int(truth.max())
    tracemalloc.start()
    measured = measure_case(prediction, truth, [f"class {label}" for label in range(n_classes)])
    for of_class in measured:
        _ = of_class.voxel
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(
        f"\nmemory: {peak / 2**20:.1f} MiB at the peak, {peak / truth.nbytes:.2f} times the label map of 1 byte a voxel"
    )


def loop_over_nuclei(prediction: Instances, truth: Instances) -> float:
    """Return PQ by comparing the mask of every true nucleus with that of every predicted one that touches it."""
    tp, sum_iou = 0, 0.0
    for true_id in range(1, truth.max() + 1):
        true = truth == true_id
        for predicted_id in np.unique(prediction[true]):
            predicted = prediction == predicted_id
            iou = (true & predicted).sum() / (true | predicted).sum()
            if predicted_id and iou > 0.5:
                tp, sum_iou = tp + 1, sum_iou + iou
    return sum_iou / (0.5 * (truth.max() + prediction.max()))


def heart() -> tuple[Labels, Labels]:
    """Return prediction and truth of the size of an ACDC volume: right ventricle, myocardium, left ventricle."""
    truth = np.zeros((10, 256, 216), np.uint8)
    for label, (y, x, radius) in enumerate([(125, 85, 30), (128, 118, 34), (128, 118, 24)], start=1):
        truth[_ball(truth.shape, (4.5, y, x), (6, radius, radius))] = label
    return _disturb(truth, shift=2), truth


def real_heart(root: Path) -> tuple[Labels, Labels]:
    """Return the labels of the first prepared ACDC volume, and the same with each slice shifted by up to 2 pixels."""
    truth = load_case(root, read_prepared("acdc", root).cases[0])[1]
    return _disturb(truth, shift=2), truth


def nuclei() -> tuple[Instances, Instances]:
    """Return 121 nuclei of a patch of 256 x 256 as predicted (each moved by up to 4 pixels) and as they are."""
    rng = np.random.default_rng(0)
    prediction, truth = np.zeros((2, 256, 256), np.int32)
    for number, centre in enumerate(itertools.product(range(12, 246, 23), repeat=2), start=1):
        truth[_ball(truth.shape, centre, (9, 9))] = number
        prediction[_ball(truth.shape, np.add(centre, rng.integers(-4, 5, 2)), (9, 9))] = number
    return prediction, truth


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
