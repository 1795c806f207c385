"""CoNSeP as single patches in HoVer-Net style folders: images/, inst/ and type_mat/, each with a folder a part."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import check_arrays
from magicseg.data.sources.arrays import damage, read_npy
from magicseg.data.sources.conic_arrays import KINDS
from magicseg.data.sources.images import SUFFIXES, read_image
from magicseg.data.sources.layouts import enter
from magicseg.data.sources.source import Source, SourceCase, Volume
from magicseg.errors import UserError

LAYOUT = "CoNSeP patches"
# CoNSeP's kinds (miscellaneous, inflammatory, epithelial, spindle-shaped) -> the nearest of CoNIC's.
# CoNSeP does not tell apart what CoNIC calls neutrophil, plasma and eosinophil: scores of single kinds are not CoNIC's.
TO_CONIC = np.array([0, 1, 3, 2, 6], np.uint8)
NOTE = (
    "CoNSeP's kinds stand for CoNIC's: miscellaneous as neutrophil, inflammatory as lymphocyte, epithelial as "
    "epithelial, spindle-shaped as connective. Plasma and eosinophil never occur."
)
_KINDS_OF_FILES = {"images": SUFFIXES, "inst": (".npy",), "type_mat": (".mat",)}

Files = dict[str, Path]


def index(folder: Path) -> dict[tuple[str, str], Files]:
    """Return the files of each patch found below ``folder``, by part and file name without its suffix."""
    found: dict[tuple[str, str], Files] = defaultdict(dict)
    for kind, suffixes in _KINDS_OF_FILES.items():
        for path in sorted(folder.rglob(f"{kind}/*/*")):
            if path.suffix.lower() in suffixes:
                enter(found[path.parent.name, path.stem], kind, path)
    complete = any(len(files) == len(_KINDS_OF_FILES) for files in found.values())
    return dict(found) if complete else {}


def find(patches: dict[tuple[str, str], Files]) -> Source:
    """Return one case a patch; those that lack a file are missing."""
    cases, missing = [], {}
    for (part, stem), files in sorted(patches.items()):
        name = _name(part, stem)
        if absent := sorted(_KINDS_OF_FILES.keys() - files.keys()):
            missing[name] = f"no file in {', '.join(absent)}"
        else:
            cases.append(_case(name, part, files))
    return Source(LAYOUT, cases, missing, [NOTE])


def _name(part: str, stem: str) -> str:
    """Return e.g. ``consep_10-000`` for ``train_10_000``, ``consep_test_10-000`` for ``test_10_000``."""
    image, _, patch = stem.removeprefix(f"{part}_").rpartition("_")
    prefix = "consep" if part == "train" else f"consep_{part}"
    return f"{prefix}_{image}-{patch}"


def _case(name: str, part: str, files: Files) -> SourceCase:
    paths = (files["images"], files["inst"], files["type_mat"])
    facts = {"source": "consep", "part": part}
    return SourceCase(name, name.rpartition("-")[0], paths, "consep 1", partial(read, *paths), facts)


def read(image_file: Path, instance_file: Path, kind_file: Path) -> Volume:
    """Return one patch, [1, H, W, 3], with CoNIC's kind and the nucleus at each pixel; ids may leave numbers out.

    Raises:
        UserError: a file is damaged, or the kinds are not one for each nucleus.
    """
    image, instances = read_image(image_file), np.array(read_npy(instance_file))
    ids, dense = np.unique(instances, return_inverse=True)
    kinds = _kinds(kind_file, int(np.count_nonzero(ids)))
    table = np.concatenate([[0], kinds]) if len(ids) and ids[0] == 0 else kinds
    label = table[dense.reshape(instances.shape)].astype(np.uint8)
    check_arrays(image, label, len(KINDS) + 1, image_file, instances)
    return Volume(image[None], label[None], instances=instances[None])


def _kinds(path: Path, nuclei: int) -> NDArray[Any]:
    """Return CoNIC's kind of each nucleus, in ascending order of ids."""
    from scipy.io import loadmat

    with damage(path, "MATLAB"):
        kinds = np.asarray(loadmat(path)["inst_type"]).ravel()
    if len(kinds) != nuclei or not np.isin(kinds, range(1, len(TO_CONIC))).all():
        raise UserError(
            f"{path}: inst_type holds {len(kinds)} kinds with the values {np.unique(kinds).tolist()}; expected are "
            f"{nuclei}, one a nucleus, from 1 to {len(TO_CONIC) - 1}."
        )
    return TO_CONIC[kinds.astype(np.int64)]
