"""What a score means: the unit, distances, empty-mask rules and averaging behind a number."""

from __future__ import annotations

from dataclasses import dataclass, fields

LEGAL: dict[str, tuple[str, ...]] = {
    "unit": ("volume", "slice", "image", "case"),
    "spacing": ("voxel", "mm"),
    "hd95": ("pooled", "max"),
    "asd": ("asd", "asd_reversed", "assd", "assd_mean"),
    "absent": ("zero", "perfect", "skip", "worst"),
    "missed": ("zero", "perfect", "skip", "worst"),
    "hallucinated": ("zero", "perfect", "skip", "worst"),
    "average": ("class_mean",),
}
"""The legal values of each field; the fields that are not here are free text."""


@dataclass(frozen=True)
class Protocol:
    """How label maps become the numbers of a table; a score without its protocol is no score.

    A class that is empty in one mask or in both has no distance, and published code disagrees on its Dice; so each of
    the three cases has a rule. ``zero``: Dice, IoU, HD95 and ASD are 0. ``perfect``: Dice and IoU are 1, distances 0.
    ``worst``: Dice and IoU are 0, distances the diagonal of the image. ``skip``: left out of all means, and counted.

    Args:
        name: the protocol's name.
        unit: what one score belongs to: a "volume" (3D), a "slice" (a volume is cut along its first axis), an "image"
            (2D), or a "case" (volume or image, as a whole).
        spacing: unit of distances, "voxel" or "mm"; mm becomes voxels where the data gives no spacing.
        hd95: "pooled", the percentile of both directions together (medpy), or "max", the larger one of two (MONAI).
        asd: property of SurfaceDistances that is reported as ASD: asd, asd_reversed, assd or assd_mean.
        absent: rule for a class in neither mask.
        missed: rule for a class in the truth only.
        hallucinated: rule for a class in the prediction only.
        average: "class_mean", per class over all cases, then over classes.
        selection: which checkpoint is scored, in words.
        resampling: how predictions came back to the original grid, in words.
        source: where the rules are taken from.

    Raises:
        ValueError: a field holds none of its legal values.
    """

    name: str
    unit: str
    spacing: str
    hd95: str
    asd: str
    absent: str
    missed: str
    hallucinated: str
    average: str = "class_mean"
    selection: str = "not stated"
    resampling: str = "not stated"
    source: str = "not stated"

    def __post_init__(self) -> None:
        for field in fields(self):
            value, legal = getattr(self, field.name), LEGAL.get(field.name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"Protocol {self.name!r}: {field.name} must be a text; found {value!r}.")
            if legal and value not in legal:
                raise ValueError(f"Protocol {self.name!r}: {field.name} is {value!r}. Allowed: {', '.join(legal)}.")

    def describe(self) -> str:
        """Return the whole protocol in one line, to stand under a table."""
        unit = "mm (voxels where the spacing is unknown)" if self.spacing == "mm" else "voxels"
        return (
            f"Protocol {self.name}: one score per {self.unit} and class, mean over {self.unit}s, then over classes; "
            f"HD95 {self.hd95}, ASD as {self.asd}, in {unit}; "
            f"class absent: {self.absent}, missed: {self.missed}, hallucinated: {self.hallucinated}; "
            f"checkpoint: {self.selection}; resampling: {self.resampling}; source: {self.source}."
        )
