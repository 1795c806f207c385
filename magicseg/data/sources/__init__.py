"""The data sets that can be prepared, one module each."""

from __future__ import annotations

from magicseg.data.sources import acdc, phantom
from magicseg.data.sources.source import DatasetFormat

FORMATS: dict[str, DatasetFormat] = {"acdc": acdc.FORMAT, "phantom": phantom.FORMAT}
