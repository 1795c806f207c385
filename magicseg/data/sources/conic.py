"""CoNIC: nuclei of six kinds in 256 x 256 patches of colon tissue (Graham et al., Medical Image Analysis 2024).

Read are the challenge's npy arrays, and CoNSeP, one of its five sources, as single patches in the folders that
HoVer-Net uses. A case is one patch, e.g. ``consep_10-000``; its subject is the image ``consep_10`` that it is cut from.
The label holds the kind of nucleus, the instances tell one nucleus from the next.
"""

from __future__ import annotations

from pathlib import Path

from magicseg.data.sources import conic_arrays, consep
from magicseg.data.sources.layouts import need_folder, only_layout
from magicseg.data.sources.source import DatasetFormat, Source

ADVICE = (
    "CoNIC is free after joining the challenge at https://conic-challenge.grand-challenge.org/ (licence "
    "CC BY-NC-SA 4.0). Unpack it and run: python scripts/prepare_data.py dataset=conic source=FOLDER"
)
EXPECTED = (
    "images.npy and labels.npy with counts.csv and patch_info.csv (CoNIC), or images/, inst/ and type_mat/ with "
    "one file a patch (CoNSeP)"
)


def find(folder: Path | None) -> Source:
    """Return the patches in ``folder`` or anywhere below it, in either layout.

    Raises:
        UserError: no folder given; neither layout found, or both; or the files do not fit each other.
    """
    folder = need_folder(folder, "CoNIC", ADVICE)
    arrays, patches = conic_arrays.index(folder), consep.index(folder)
    found = {conic_arrays.LAYOUT: arrays, consep.LAYOUT: patches}
    if only_layout(folder, "CoNIC", found, EXPECTED, ADVICE) == conic_arrays.LAYOUT:
        return conic_arrays.find(folder, arrays)
    return consep.find(patches)


FORMAT = DatasetFormat(classes=("background", *conic_arrays.KINDS), find=find, advice=ADVICE)
