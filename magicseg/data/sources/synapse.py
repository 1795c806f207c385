"""Synapse: abdominal CT of 30 patients with eight organs, from the BTCV challenge (MICCAI 2015).

Read are the challenge's NIfTI files, and the npz and h5 files made of them for TransUNet and its successors. A case is
named ``case0001``; each is one patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from magicseg.data.sources import synapse_arrays, synapse_official
from magicseg.data.sources.layouts import need_folder, only_layout
from magicseg.data.sources.source import DatasetFormat, Source
from magicseg.data.sources.synapse_labels import ORGANS, recognise

CASES = [f"case{number:04d}" for number in (*range(1, 11), *range(21, 41))]
SAMPLE = 5  # cases by which the order of labels is recognised; every case is checked against it when it is read
ADVICE = (
    "The CT volumes (RawData.zip of Abdomen) are free after registration at "
    "https://www.synapse.org/#!Synapse:syn3193805/wiki/217789 under the challenge's terms of use; the npz and h5 files "
    "are linked from the repository Beckschen/TransUNet. Unpack either and run: "
    "python scripts/prepare_data.py dataset=synapse source=FOLDER"
)
EXPECTED = (
    "Training/img/img0001.nii.gz with Training/label/label0001.nii.gz (BTCV), or train_npz/case0005_slice000.npz "
    "and test_vol_h5/case0001.npy.h5 (TransUNet)"
)


def find(folder: Path | None) -> Source:
    """Return the 30 labelled cases in ``folder`` or anywhere below it, in either layout.

    Raises:
        UserError: no folder given; neither layout found, or both; or the order of labels is not certain.
    """
    folder = need_folder(folder, "Synapse", ADVICE)
    official, arrays = synapse_official.index(folder), synapse_arrays.index(folder)
    found = {synapse_official.LAYOUT: official, synapse_arrays.LAYOUT: arrays}
    if only_layout(folder, "Synapse", found, EXPECTED, ADVICE) == synapse_official.LAYOUT:
        labelled = {name: files for name, files in official.items() if "label" in files}
        return synapse_official.find(official, CASES, _order(folder, labelled, synapse_official.read_label))
    return synapse_arrays.find(arrays, CASES, _order(folder, arrays, synapse_arrays.read_label))


def _order(folder: Path, files: Mapping[str, Any], read_label: Callable[[Any], Any]) -> str:
    names = [name for name in CASES if name in files]
    chosen = names[:: max(1, len(names) // SAMPLE)][:SAMPLE]
    return recognise((read_label(files[name]) for name in chosen), folder)


FORMAT = DatasetFormat(("background", *ORGANS), find, ADVICE, "abdominal_window", synapse_official.SLICES)
