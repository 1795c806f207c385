"""ACDC: cine cardiac MRI of 100 patients, end-diastole and end-systole (Bernard et al., IEEE TMI 2018).

Three layouts are read: the challenge's own NIfTI files, and the files that SSL4MIS (h5) and MT-UNet (npz) made of them.
In all, a case is named ``patient001_frame01`` or ``_frame02``: the first and the second annotated frame.
"""

from __future__ import annotations

from pathlib import Path

from magicseg.data.sources import acdc_h5, acdc_mtunet, acdc_official
from magicseg.data.sources.layouts import need_folder, only_layout
from magicseg.data.sources.source import DatasetFormat, Source

ADVICE = (
    "ACDC is free after registration at https://www.creatis.insa-lyon.fr/Challenge/acdc/ (licence CC BY-NC-SA 4.0); "
    "the h5 form is linked from the repository HiLab-git/SSL4MIS, the npz form from Dootmaan/MT-UNet. Unpack one of "
    "them and run: python scripts/prepare_data.py dataset=acdc source=FOLDER"
)
EXPECTED = (
    "patientNNN_frameXX.nii.gz with patientNNN_frameXX_gt.nii.gz (official), patientNNN_frameXX.h5 and "
    "patientNNN_frameXX_slice_K.h5 (SSL4MIS), or case_NNN_volume_ED.npz and case_NNN_sliceED_K.npz (MT-UNet)"
)


def find(folder: Path | None) -> Source:
    """Return the cases of patients 1 to 100 in ``folder`` or anywhere below it, in any of the layouts.

    Raises:
        UserError: no folder given, no layout found, or several.
    """
    folder = need_folder(folder, "ACDC", ADVICE)
    official, h5, npz = acdc_official.index(folder), acdc_h5.index(folder), acdc_mtunet.index(folder)
    found = {acdc_official.LAYOUT: official, acdc_h5.LAYOUT: h5, acdc_mtunet.LAYOUT: npz}
    layout = only_layout(folder, "ACDC", found, EXPECTED, ADVICE)
    if layout == acdc_h5.LAYOUT:
        return acdc_h5.find(folder, h5)
    return acdc_official.find(official) if layout == acdc_official.LAYOUT else acdc_mtunet.find(npz)


FORMAT = DatasetFormat(classes=("background", "RV", "Myo", "LV"), find=find, advice=ADVICE, intensity="min_max")
