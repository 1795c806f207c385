"""Which files are images to segment, and where their label maps go."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from magicseg.data.sources.folder_pairs import NIFTI, PICTURES, SUFFIXES, stem_of
from magicseg.errors import UserError
from magicseg.inference.destination import Destination

KINDS = "png, jpg, bmp, tif, nii, nii.gz or npy"


@dataclass(frozen=True)
class Item:
    """An image and where its label map goes, relative to the folder of label maps."""

    path: Path
    target: Path


def find_items(source: Path, destination: Destination, pattern: str = "*") -> list[Item]:
    """Return the image ``source``, or all images below the folder ``source``, in order of their names.

    Args:
        source: an image or a folder.
        destination: the folder of predictions; what it holds are no images to segment.
        pattern: what the names of images in a folder look like, e.g. ``*_0000.nii.gz``.

    Raises:
        UserError: there is no image, or two of them would share a label map, or one would be its own label map.
    """
    if source.is_dir():
        own = {destination.labels.resolve(), destination.overlays.resolve()}
        files = [path for path in sorted(source.rglob("*")) if _is_image(path, pattern)]
        files = [path for path in files if not own & set(path.resolve().parents)]
        items = [Item(path, target(path.relative_to(source))) for path in files]
    else:
        items = [Item(source, target(Path(source.name)))] if source.is_file() else []
    if not items:
        raise UserError(f"input={source} is no image and no folder with images ({KINDS}) named {pattern}.")
    _check_targets(items, destination.labels)
    return items


def target(path: Path) -> Path:
    """Return the path of the label map of an image: a png for a picture, nii.gz for a volume, npy for an array."""
    name = path.name.lower()
    suffix = ".png" if name.endswith(PICTURES) else ".nii.gz" if name.endswith(NIFTI) else ".npy"
    return path.with_name(stem_of(path) + suffix)


def _is_image(path: Path, pattern: str) -> bool:
    visible = not path.name.startswith(".")
    return visible and path.name.lower().endswith(SUFFIXES) and fnmatch(path.name, pattern) and path.is_file()


def _check_targets(items: list[Item], labels: Path) -> None:
    first: dict[Path, Path] = {}
    for item in items:
        other = first.setdefault(item.target, item.path)
        if other != item.path:
            raise UserError(
                f"{other} and {item.path} would both become {item.target}. Segment them into two outputs, e.g. with "
                f"pattern=*{item.path.suffix} for one of them."
            )
        if (labels / item.target).resolve() == item.path.resolve():
            raise UserError(f"{item.path} would be replaced by its own label map. Choose another output.")
