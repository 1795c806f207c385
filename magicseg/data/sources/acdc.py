"""ACDC: cine cardiac MRI of 100 patients, end-diastole and end-systole (Bernard et al., IEEE TMI 2018).

Two layouts are read: the challenge's own NIfTI files, and the h5 files that SSL4MIS made of them. In both, a case is
named ``patient001_frame01`` or ``_frame02``: the first and the second annotated frame in the order of frames.
"""

from __future__ import annotations

from pathlib import Path

from magicseg.data.sources import acdc_h5, acdc_official
from magicseg.data.sources.source import DatasetFormat, Source
from magicseg.errors import UserError

ADVICE = (
    "ACDC is free after registration at https://www.creatis.insa-lyon.fr/Challenge/acdc/ (licence CC BY-NC-SA 4.0); "
    "the h5 form is linked from the repository HiLab-git/SSL4MIS. Unpack either and run: "
    "python scripts/prepare_data.py dataset=acdc source=FOLDER"
)


def find(folder: Path | None) -> Source:
    """Return the cases of patients 1 to 100 in ``folder`` or anywhere below it, in either layout.

    Raises:
        UserError: no folder given, neither layout found, or both.
    """
    if folder is None or not folder.is_dir():
        problem = f"source={folder} is not a folder" if folder else "No source folder given"
        raise UserError(f"{problem}: ACDC cannot be prepared without it. {ADVICE}")
    h5, official = acdc_h5.index(folder), acdc_official.index(folder)
    if h5 and official:
        raise UserError(f"{folder} holds ACDC both as h5 and as NIfTI files. Give the folder of one of them as source.")
    if not h5 and not official:
        raise UserError(
            f"No ACDC data below {folder}: expected patientNNN_frameXX.nii.gz with patientNNN_frameXX_gt.nii.gz "
            f"(official) or patientNNN_frameXX.h5 and patientNNN_frameXX_slice_K.h5 (SSL4MIS). {ADVICE}"
        )
    return acdc_h5.find(folder, h5) if h5 else acdc_official.find(official)


FORMAT = DatasetFormat(classes=("background", "RV", "Myo", "LV"), find=find, advice=ADVICE)
