"""The data sets that can be prepared, one module each."""

from __future__ import annotations

from magicseg.data.sources import acdc, conic, folder, glas, isic, ph2, phantom, synapse
from magicseg.data.sources.source import DatasetFormat

FORMATS: dict[str, DatasetFormat] = {
    "acdc": acdc.FORMAT,
    "conic": conic.FORMAT,
    "folder": folder.FORMAT,
    "glas": glas.FORMAT,
    **isic.FORMATS,
    "ph2": ph2.FORMAT,
    "phantom": phantom.FORMAT,
    "synapse": synapse.FORMAT,
}
