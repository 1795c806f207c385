"""How far conventions move the score of one prediction: ``python scripts/convention_table.py root=data/prepared/acdc``.

The truth of a split's test volumes is disturbed in known ways, and every result is scored under every convention that
the literature calls Dice, IoU, HD95 or ASD. The choices are derived from the names of the cases: the table is the same
wherever it is computed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import MISSING
from scipy import ndimage
from tqdm import tqdm

from magicseg import __version__
from magicseg.arguments import parse, run_friendly
from magicseg.data import load_case, read_prepared, split_cases
from magicseg.metrics import Counts, Measurement, Protocol, apply_protocol, dice, iou, measure_case, summarise
from magicseg.seeding import generator

Labels = NDArray[np.uint8]
Views = dict[str, dict[str, list[Measurement]]]
"""How a data set is cut ("volume", "slice", "foreground") -> case -> measurement of each class."""
Convention = Callable[[Views], float]

SPACING = (10.0, 1.5, 1.5)  # mm; typical of ACDC, whose h5 files tell none
CROSS = ndimage.generate_binary_structure(2, 1)[None]  # neighbours within a slice


@dataclass
class Options:
    """Print, as Markdown, the scores of disturbed ACDC masks under many conventions.

    root: the prepared data set.
    split: the split whose test volumes are taken.
    """

    root: Path = MISSING
    split: str = "mtunet"


def main(arguments: Sequence[str]) -> None:
    """Disturb, measure and score the test volumes; print a row a convention and a column a disturbance."""
    options = parse(Options, arguments)
    manifest = read_prepared("acdc", options.root)
    cases = split_cases(manifest, "acdc", options.split).test
    truths = {case.name: load_case(options.root, case)[1] for case in cases}
    found = table(truths, manifest.classes[1:])
    print(f"{len(cases)} test volumes, split {options.split}, data {manifest.digest[:10]}; magicseg {__version__}\n")
    print("\n".join(markdown(found)))


def table(truths: Mapping[str, Labels], classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return convention -> disturbance -> score (percent, voxels or mm) of these truths [D, H, W]."""
    found: dict[str, dict[str, float]] = {name: {} for name in CONVENTIONS}
    for disturbance, disturb in tqdm(DISTURBANCES.items(), desc="scoring", unit="disturbance", leave=False):
        predictions = {name: disturb(truth, generator("conventions", name)) for name, truth in truths.items()}
        if disturbance == DROPPED:
            for name in drawn_tenth(list(truths)):
                predictions[name] = without(predictions[name], 1)
        views = measure(predictions, truths, classes)
        for name, convention in CONVENTIONS.items():
            found[name][disturbance] = convention(views)
    return found


def markdown(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the lines of a Markdown table."""
    rows = [f"| {name} | {' | '.join(f'{value:.2f}' for value in row.values())} |" for name, row in found.items()]
    return [f"| convention | {' | '.join(DISTURBANCES)} |", "|---|" + "---:|" * len(DISTURBANCES), *rows]


# Disturbances


def shift(label: Labels, _: np.random.Generator) -> Labels:
    """Move by one pixel down and one to the right."""
    return np.roll(label, (1, 1), axis=(1, 2))


def erode(label: Labels, _: np.random.Generator) -> Labels:
    """Turn to background what has a neighbour of another label within its slice."""
    low, high = (filtered(label, footprint=CROSS) for filtered in (ndimage.minimum_filter, ndimage.maximum_filter))
    return np.where(low == high, label, 0).astype(np.uint8)


def dilate(label: Labels, _: np.random.Generator) -> Labels:
    """Let every class grow by one pixel into the background of its slice."""
    return np.where(label == 0, ndimage.maximum_filter(label, footprint=CROSS), label).astype(np.uint8)


def mix(label: Labels, rng: np.random.Generator) -> Labels:
    """Err like a network: slices move by up to a pixel, half of them shrink or grow, an end of the RV may be missed."""
    changed = np.stack([_disturb_slice(image[None], rng)[0] for image in label])
    if rng.random() < 1 / 3:
        last = int(np.flatnonzero((label == 1).any(axis=(1, 2)))[-1])
        changed[last] = without(changed[last], 1)
    return changed


def overshoot(label: Labels, _: np.random.Generator) -> Labels:
    """Repeat the last slice of every class one slice further, or the first one before where the volume ends."""
    changed = label.copy()
    for index in np.unique(label[label > 0]):
        slices = np.flatnonzero((label == index).any(axis=(1, 2)))
        source, target = (slices[-1], slices[-1] + 1) if slices[-1] + 1 < len(label) else (slices[0], slices[0] - 1)
        if target >= 0:
            changed[target][(label[source] == index) & (label[target] == 0)] = index
    return changed


def without(label: Labels, index: int) -> Labels:
    """Return the label map without the class ``index``."""
    return np.where(label == index, 0, label).astype(np.uint8)


def drawn_tenth(names: Sequence[str]) -> list[str]:
    """Return a tenth of the names, drawn at random from a derived seed."""
    return list(generator("conventions", "dropped").permutation(list(names))[: len(names) // 10])


def _disturb_slice(image: Labels, rng: np.random.Generator) -> Labels:
    moved = np.roll(image, tuple(rng.integers(-1, 2, 2)), axis=(1, 2))
    change = rng.random()
    return erode(moved, rng) if change < 0.25 else dilate(moved, rng) if change < 0.5 else moved


DROPPED = "mix, RV dropped in a tenth"
DISTURBANCES: Mapping[str, Callable[[Labels, np.random.Generator], Labels]] = {
    "identity": lambda label, _: label.copy(),
    "shift 1 px diagonally": shift,
    "erode 1 px": erode,
    "dilate 1 px": dilate,
    "network-like mix": mix,
    DROPPED: mix,
    "overshoot one slice in z": overshoot,
}


# Conventions


def measure(predictions: Mapping[str, Labels], truths: Mapping[str, Labels], classes: Sequence[str]) -> Views:
    """Measure every case once for each way to cut the data set."""
    views: Views = {"volume": {}, "slice": {}, "foreground": {}}
    for name, truth in truths.items():
        prediction = predictions[name]
        views["volume"][name] = measure_case(prediction, truth, classes, SPACING)
        views["foreground"][name] = measure_case(prediction > 0, truth > 0, ["heart"], SPACING)
        for index, pair in enumerate(zip(prediction, truth, strict=True)):
            views["slice"][f"{name}/{index}"] = measure_case(*pair, classes, SPACING[1:])
    return views


def scored(view: str, metric: str, **rules: str) -> Convention:
    """Return the mean over cases, then classes, under ``rules``; classes with an empty mask are else left out."""
    protocol = replace(Protocol("table", "case", "voxel", "pooled", "assd", "skip", "skip", "skip"), **rules)
    scale = 1.0 if metric in ("hd95", "asd") else 100.0

    def convention(views: Views) -> float:
        scores = {case: apply_protocol(measured, protocol) for case, measured in views[view].items()}
        return scale * summarise(scores, protocol)["mean"][metric]

    return convention


def pooled(ratio: Callable[[Counts], float]) -> Convention:
    """Return the mean over classes of a ratio of all volumes' voxels together, in percent."""

    def convention(views: Views) -> float:
        by_class = zip(*views["volume"].values(), strict=True)
        counts = [Counts(*map(sum, zip(*(one.counts for one in of_class), strict=True))) for of_class in by_class]
        return 100 * statistics.fmean(map(ratio, counts))

    return convention


TRANSUNET = {"absent": "zero", "missed": "zero", "hallucinated": "perfect"}
WORST = {"absent": "skip", "missed": "worst", "hallucinated": "worst"}
SINGLE = {"missed": "formula", "hallucinated": "formula"}  # what one empty mask gives by the formula: 0
CONVENTIONS: Mapping[str, Convention] = {
    "Dice % per volume, `transunet`": scored("volume", "dice", **TRANSUNET),
    "Dice % of all volumes' voxels together": pooled(dice),
    "Dice % per slice, both empty: 1": scored("slice", "dice", absent="perfect", **SINGLE),
    "Dice % per slice, both empty: 0": scored("slice", "dice", absent="zero", **SINGLE),
    "Dice % per slice, both empty: left out": scored("slice", "dice", **SINGLE),
    "Dice % per slice, TransUNet's rule": scored("slice", "dice", **TRANSUNET),
    "Dice % per slice, truth empty: left out": scored("slice", "dice", missed="formula"),
    "Dice % per volume, classes merged": scored("foreground", "dice", **TRANSUNET),
    "IoU % per volume, `transunet`": scored("volume", "iou", **TRANSUNET),
    "IoU % per volume, mean with background": scored("volume", "iou", iou="macro", **SINGLE),
    "IoU % of all volumes' voxels together": pooled(iou),
    "accuracy %": scored("volume", "accuracy", **TRANSUNET),
    "HD95 voxels, pooled, empty: 0 (`transunet`)": scored("volume", "hd95", **TRANSUNET),
    "HD95 voxels, pooled, empty: left out": scored("volume", "hd95"),
    "HD95 voxels, pooled, empty: diagonal (`strict`)": scored("volume", "hd95", **WORST),
    "HD95 voxels, larger of two directions (MONAI)": scored("volume", "hd95", hd95="max"),
    "HD95 pixels, per slice, empty: left out": scored("slice", "hd95"),
    "HD95 mm at 10 x 1.5 x 1.5, empty: left out": scored("volume", "hd95", spacing="mm"),
    "ASD voxels, prediction to truth (`asd`)": scored("volume", "asd", asd="asd"),
    "ASD voxels, truth to prediction": scored("volume", "asd", asd="asd_reversed"),
    "ASD voxels, mean of both means": scored("volume", "asd", asd="assd_mean"),
    "ASD voxels, pooled (`assd`)": scored("volume", "asd"),
    "ASD mm at 10 x 1.5 x 1.5, pooled": scored("volume", "asd", spacing="mm"),
}


if __name__ == "__main__":
    run_friendly(main)
