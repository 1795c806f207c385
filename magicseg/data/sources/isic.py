"""ISIC 2016, 2017 and 2018: dermoscopic images with the outline of one lesion (task 1 of each year's challenge).

Read are the official folders and the npy files of TransFuse (2017) and MedISeg (2018, used by CTO).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from magicseg.data.sources import isic_folders, npy_stacks
from magicseg.data.sources.layouts import need_folder, only_layout
from magicseg.data.sources.pairs import incomplete, jpeg_note, unnamed
from magicseg.data.sources.source import DatasetFormat, Source


@dataclass(frozen=True)
class Year:
    """A year's data set: its name on the command line, and the images of each part that the papers use."""

    year: int
    dataset: str
    sizes: dict[str, int]
    example: str

    @property
    def advice(self) -> str:
        """Where the data come from and which command prepares them."""
        return (
            f"ISIC {self.year} is free on https://challenge.isic-archive.com/data/#{self.year} (task 1: images and "
            f"ground truth; see the licence there). Unpack all of it below one folder and run: "
            f"python scripts/prepare_data.py dataset={self.dataset} source=FOLDER"
        )


YEARS = (
    Year(2016, "isic2016", {"train": 900, "test": 379}, "ISBI2016_ISIC_Part1_Training_Data"),
    Year(2017, "isic", {"train": 2000, "val": 150, "test": 600}, "ISIC-2017_Training_Data"),
    Year(2018, "isic2018", {"train": 2594}, "ISIC2018_Task1-2_Training_Input"),
)


def find(year: Year, folder: Path | None) -> Source:
    """Return the cases of ``year`` in ``folder`` or anywhere below it, in any of the layouts.

    Raises:
        UserError: no folder given, no layout found or several, an image there twice, or files that do not fit together.
    """
    title = f"ISIC {year.year}"
    folder = need_folder(folder, title, year.advice)
    folders, stacks = isic_folders.index(folder, year.year), npy_stacks.index(folder)
    expected = (
        f"folders such as {year.example} with images and masks, or data_train.npy with mask_train.npy (TransFuse), "
        f"or img.npy, mask.npy and filename.npy (MedISeg){_other_years(year, folder)}"
    )
    layout = only_layout(folder, title, {isic_folders.LAYOUT: folders, **stacks}, expected, year.advice)
    return _from_folders(year, folders) if folders else _from_stacks(year, layout, stacks[layout])


def _from_folders(year: Year, parts: isic_folders.Parts) -> Source:
    used = {part: parts.get(part, {}) for part in year.sizes}
    missing = {name: reason for pairs in used.values() for name, reason in incomplete(pairs).items()}
    cases = [
        isic_folders.case(name, part, pair)
        for part, pairs in used.items()
        for name, pair in sorted(pairs.items())
        if name not in missing
    ]
    missing |= unnamed({part: len(pairs) for part, pairs in used.items()}, year.sizes)
    notes = _unused_notes(year, {part: len(pairs) for part, pairs in parts.items()})
    return Source(isic_folders.LAYOUT, cases, missing, notes + jpeg_note([case.files[1] for case in cases]))


def _from_stacks(year: Year, layout: str, stacks: list[npy_stacks.Stack]) -> Source:
    cases = [case for stack in stacks if stack.part in year.sizes for case in stack.cases()]
    counts = {stack.part: len(stack.names) for stack in stacks}
    return Source(layout, cases, unnamed(counts, year.sizes), [npy_stacks.NOTE, *_unused_notes(year, counts)])


def _unused_notes(year: Year, counts: dict[str, int]) -> list[str]:
    return [
        f"The {count} images of {part} are not read: the papers use {' and '.join(year.sizes)} of ISIC {year.year}."
        for part, count in counts.items()
        if part not in year.sizes
    ]


def _other_years(year: Year, folder: Path) -> str:
    others = [other.dataset for other in YEARS if other.year in isic_folders.other_years(folder, year.year)]
    return f"; the images there are of another year: dataset={' or dataset='.join(others)}" if others else ""


FORMATS = {
    year.dataset: DatasetFormat(classes=("background", "lesion"), find=partial(find, year), advice=year.advice)
    for year in YEARS
}
