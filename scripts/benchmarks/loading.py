"""Training slices beside the usual loader, which resizes every sample anew, by the CPU time of one thread."""

from __future__ import annotations

import io
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate

from magicseg.arguments import parse
from magicseg.data import Case, Manifest, Preprocessing, SliceDataset, cases_to_slices, load_case
from magicseg.errors import UserError
from magicseg.seeding import generator

SEED = 1
Sample = tuple[Tensor, Tensor]
Loader = Callable[[int, int], Sample]
"""(epoch, index) -> image, label."""


@dataclass
class Options:
    """Compare the time of a training sample with the usual loader's, and check that both are equal.

    ``grey``: a prepared folder with volumes, whose slices get TransUNet's augmentation and are resized to 224 x 224
    by splines; the usual loader has them in memory. ``rgb``: a prepared folder with RGB images, resized to 192 x 256
    bilinearly; the usual loader decodes PNG files in memory. ``slices``: how many, evenly chosen; ``epochs``: over
    them; the median epoch is printed.
    """

    grey: Path | None = Path("data/prepared/acdc")
    rgb: Path | None = None
    slices: int = 200
    epochs: int = 9


def main(arguments: Sequence[str] = ()) -> None:
    """Print milliseconds a sample, samples a second, ratios, the largest difference, and where the time goes."""
    options = parse(Options, arguments)
    torch.set_num_threads(1)
    if options.grey is not None:
        compare_grey(options.grey, options.slices, options.epochs)
    if options.rgb is not None:
        compare_rgb(options.rgb, options.slices, options.epochs)


def compare_grey(root: Path, slices: int, epochs: int) -> None:
    """Measure TransUNet's augmentation and spline resizing."""
    cases, samples = samples_of(root, slices)
    dataset = SliceDataset(cases, root, Preprocessing((224, 224)), augment="transunet", seed=SEED)
    positions = [index for index, _, _ in samples]
    plans = {(epoch, n): drawn(epoch, index) for epoch in range(epochs) for n, index in enumerate(positions)}
    kinds = {kind: [key for key, plan in plans.items() if plan[0] == kind] for kind in ("turned", "rotated", "alone")}

    def usual(epoch: int, n: int) -> Sample:
        _, image, label = samples[n]
        return as_transunet(image, label, *plans[epoch, n])

    loaders = {"magicseg": lambda epoch, n: dataset[epoch, positions[n]], "usual": usual}
    title = f"{root.name}: {len(samples)} slices to 224x224, TransUNet's augmentation"
    seconds = print_comparison(title, loaders, list(plans), tolerance=1e-6)
    for kind, keys in kinds.items():
        parts = "   ".join(f"{name} {1e3 * median(seconds[name], keys):.3f} ms" for name in loaders)
        print(f"  {kind:9} {len(keys) / len(plans):4.0%} of the samples   {parts}")


def compare_rgb(root: Path, slices: int, epochs: int) -> None:
    """Measure decoding and bilinear resizing."""
    cases, samples = samples_of(root, slices)
    dataset = SliceDataset(cases, root, Preprocessing((192, 256), "bilinear"), augment="none", seed=SEED)
    files = [(png(image), png(255 * label)) for _, image, label in samples]
    loaders = {
        "magicseg": lambda epoch, n: dataset[epoch, samples[n][0]],
        "usual": lambda epoch, n: as_usual_for_rgb(*files[n]),
    }
    keys = [(epoch, n) for epoch in range(epochs) for n in range(len(samples))]
    title = f"{root.name}: {len(samples)} images to 192x256, bilinear, no augmentation"
    print_comparison(title, loaders, keys, tolerance=0.51 / 255)  # magicseg rounds to 8 bits as OpenCV does


def samples_of(root: Path, count: int) -> tuple[list[Case], list[tuple[int, np.ndarray, np.ndarray]]]:
    """Return the cases of a prepared folder and ``count`` of their slices: (index, image, label)."""
    cases = list(Manifest.read(root).cases)
    slices = cases_to_slices(cases)
    chosen = np.unique(np.linspace(0, len(slices) - 1, count).astype(int)).tolist()
    volumes = {position: load_case(root, cases[position]) for position in {slices[index][0] for index in chosen}}
    arrays = [[array[slices[index][1]].copy() for array in volumes[slices[index][0]]] for index in chosen]
    return cases, [(index, image, label) for index, (image, label) in zip(chosen, arrays, strict=True)]


def drawn(epoch: int, index: int) -> tuple[str, int, int]:
    """Return what TransUNet's augmentation does to a slice and by how much; the usual loader draws for free."""
    rng = generator(SEED, "augment", epoch, index)
    if rng.random() < 0.5:
        return "turned", int(rng.integers(4)), int(rng.integers(2))
    return ("rotated", int(rng.integers(-20, 20)), 0) if rng.random() < 0.5 else ("alone", 0, 0)


def as_transunet(image: np.ndarray, label: np.ndarray, kind: str, amount: int, axis: int) -> Sample:
    """Return a sample by NumPy's turns and SciPy's rotate and zoom."""
    if kind == "turned":
        image, label = (np.flip(np.rot90(array, amount), axis).copy() for array in (image, label))
    elif kind == "rotated":
        image, label = (ndimage.rotate(array, amount, order=0, reshape=False) for array in (image, label))
    zoom = 224 / image.shape[0], 224 / image.shape[1]
    image, label = ndimage.zoom(image, zoom, order=3), ndimage.zoom(label, zoom, order=0)
    return torch.from_numpy(image)[None], torch.from_numpy(label).long()


def png(array: np.ndarray) -> bytes:
    """Return the PNG file of an 8-bit image."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    return file.getvalue()


def as_usual_for_rgb(image_file: bytes, mask_file: bytes) -> Sample:
    """Return a sample by decoding and resizing an image and its mask of 0 and 255."""
    pair = []
    for file in (image_file, mask_file):
        array = np.asarray(Image.open(io.BytesIO(file)))
        tensor = torch.from_numpy(array.reshape(*array.shape[:2], -1).copy()).permute(2, 0, 1)[None].float() / 255
        pair.append(interpolate(tensor, (192, 256), mode="bilinear", align_corners=False)[0])
    return pair[0], (pair[1][0] > 0.5).long()


def print_comparison(
    title: str, loaders: Mapping[str, Loader], keys: list[tuple[int, int]], tolerance: float
) -> dict[str, dict[tuple[int, int], float]]:
    """Check that the samples are equal, measure both loaders, print, and return the CPU seconds of each key.

    Raises:
        UserError: images differ by more than ``tolerance``, or labels on more than 1 pixel in 10000.
    """
    images, labels = difference(loaders, keys)  # also fills the cache
    if images > tolerance or labels > 1e-4:
        raise UserError(f"{title}: the samples differ, images by {images:g} and labels on {labels:.2%} of a slice.")
    seconds: dict[str, dict[tuple[int, int], float]] = {name: {} for name in loaders}
    means: dict[str, list[float]] = {name: [] for name in loaders}
    for _, epoch in itertools.groupby(keys, key=lambda key: key[0]):
        of_epoch = list(epoch)
        for name, loader in loaders.items():
            seconds[name].update((key, timed(loader, key)) for key in of_epoch)
            means[name].append(statistics.fmean(seconds[name][key] for key in of_epoch))
    print(f"\n{title}; images differ by at most {images:.1g}, labels on {labels:.2%} of a slice")
    for name in loaders:
        typical = statistics.median(means[name])
        print(f"{name:9} {1e3 * typical:7.3f} ms of CPU time a sample   {1 / typical:7.0f} samples/s")
    ratios = sorted(usual / ours for ours, usual in zip(means["magicseg"], means["usual"], strict=True))
    print(f"magicseg is {statistics.median(ratios):.1f} times as fast ({ratios[0]:.1f} to {ratios[-1]:.1f} an epoch)")
    return seconds


def difference(loaders: Mapping[str, Loader], keys: list[tuple[int, int]]) -> tuple[float, float]:
    """Return the largest difference of two loaders' images, and the largest share of pixels whose labels differ."""
    images = labels = 0.0
    for key in keys:
        (x, y), (x_usual, y_usual) = (loader(*key) for loader in loaders.values())
        images = max(images, (x - x_usual).abs().max().item())
        labels = max(labels, (y != y_usual).float().mean().item())
    return images, labels


def timed(loader: Loader, key: tuple[int, int]) -> float:
    """Return the CPU seconds that one sample takes; other work on the machine does not count."""
    start = time.thread_time()
    loader(*key)
    return time.thread_time() - start


def median(times: Mapping[tuple[int, int], float], keys: list[tuple[int, int]]) -> float:
    """Return the median seconds of some samples."""
    return statistics.median(times[key] for key in keys) if keys else float("nan")
