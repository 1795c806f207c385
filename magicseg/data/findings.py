"""What looks odd in a prepared data set, from its manifest alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from magicseg.data.case import Case
from magicseg.data.manifest import Manifest

ODD_SIZE, ODD_SPACING = 4, 2  # times larger or smaller than the median


class Finding(NamedTuple):
    """A text and the cases to which it applies; none if it is about the data set."""

    text: str
    cases: tuple[str, ...] = ()


def findings(manifest: Manifest) -> list[Finding]:
    """Return the source's notes, what is missing, and the oddities of the cases, those of one kind together."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for text, names in [*_missing(manifest), *_duplicates(manifest), *_of_cases(manifest)]:
        grouped[text].extend(names)
    general = [Finding(note) for note in (*manifest.notes, *_of_all(manifest))]
    return general + [Finding(text, tuple(names)) for text, names in grouped.items()]


def _missing(manifest: Manifest) -> Iterator[tuple[str, list[str]]]:
    for name, reason in manifest.missing.items():
        yield f"missing ({reason})", [name]


def _duplicates(manifest: Manifest) -> Iterator[tuple[str, list[str]]]:
    alike: dict[str, list[str]] = defaultdict(list)
    for case in manifest.cases:
        alike[case.content].append(case.name)
    for names in alike.values():
        if len(names) > 1:
            yield f"the same image and label as {names[0]}", names[1:]


def _of_cases(manifest: Manifest) -> Iterator[tuple[str, list[str]]]:
    usual = _usual_classes(manifest)
    sizes = [median(case.shape[axis] for case in manifest.cases) for axis in range(3)]
    spacings = [case.spacing for case in manifest.cases if case.spacing]
    steps = [median(spacing[axis] for spacing in spacings) for axis in range(3)] if spacings else []
    for case in manifest.cases:
        for text in (*_label_oddities(case, manifest.classes, usual), *_image_oddities(case, sizes, steps)):
            yield text, [case.name]


def _usual_classes(manifest: Manifest) -> list[int]:
    """Return the classes that most cases hold: only where those are absent, it is worth a look."""
    present = [sum(case.label_counts[index] > 0 for case in manifest.cases) for index in range(len(manifest.classes))]
    return [index for index, count in enumerate(present) if index and 2 * count >= len(manifest.cases)]


def _label_oddities(case: Case, classes: tuple[str, ...], usual: list[int]) -> Iterator[str]:
    if not any(case.label_counts[1:]):
        yield "no label (background only)"
    else:
        yield from (f"no voxel of {classes[index]}" for index in usual if case.label_counts[index] == 0)
    if case.label_counts[0] == 0:
        yield "no background"
    if case.source.get("unmatched_pixels"):
        yield "pixels with an instance but no class, or a class but no instance"


def _image_oddities(case: Case, sizes: list[float], steps: list[float]) -> Iterator[str]:
    if case.intensity[0] == case.intensity[1]:
        yield f"the image is constant ({case.intensity[0]:g})"
    if any(_far(size, usual, ODD_SIZE) for size, usual in zip(case.shape, sizes, strict=True)):
        yield f"an odd size, {times(case.shape)} (median {times(sizes)})"
    if case.spacing and any(_far(step, usual, ODD_SPACING) for step, usual in zip(case.spacing, steps, strict=True)):
        yield f"an odd spacing, {times(case.spacing)} mm (median {times(steps)} mm)"


def _far(value: float, usual: float, factor: float) -> bool:
    return value > factor * usual or factor * value < usual


def times(numbers: tuple[float, ...] | list[float]) -> str:
    """Return the numbers as in ``10 x 256 x 216``."""
    return " x ".join(f"{number:g}" for number in numbers)


def _of_all(manifest: Manifest) -> Iterator[str]:
    for index, name in enumerate(manifest.classes):
        holders = [case.name for case in manifest.cases if case.label_counts[index]]
        if len(holders) < 2 <= len(manifest.cases):
            yield f"{name} occurs in {f'one case only, {holders[0]}' if holders else 'no case'}."
    volumes = [case for case in manifest.cases if case.shape[0] > 1]
    partial = [case for case in volumes if 0 < case.unlabelled_slices < case.shape[0]]
    if partial:
        slices = sum(case.unlabelled_slices for case in partial)
        yield f"{slices} slices in {len(partial)} cases have no label (background only), though others of the case do."
    unknown = sum(case.spacing is None for case in volumes)
    if unknown:
        yield f"{unknown} cases come without voxel spacing: distances can only be given in voxels."
    colour = sum(case.channels == 3 for case in manifest.cases)
    if 0 < colour < len(manifest.cases):
        yield f"{colour} cases are RGB, {len(manifest.cases) - colour} are grey."
