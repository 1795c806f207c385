"""What a score means: the unit, formulas, empty-mask rules and averaging behind a number."""

from __future__ import annotations

from dataclasses import dataclass, fields

from magicseg.metrics.instances import METHODS
from magicseg.metrics.overlap import DICE_FORMS, IOU_FORMS

RULES = ("zero", "perfect", "skip", "worst", "formula")
LEGAL: dict[str, tuple[str, ...]] = {
    "unit": ("volume", "slice", "image", "case"),
    "grid": ("original", "network"),
    "spacing": ("voxel", "mm"),
    "hd95": ("pooled", "max"),
    "asd": ("asd", "asd_reversed", "assd", "assd_mean"),
    "absent": RULES,
    "missed": RULES,
    "hallucinated": RULES,
    "dice": tuple(DICE_FORMS),
    "iou": tuple(IOU_FORMS),
    "instances": ("none", *METHODS),
    "true_instances": ("same", "given"),
    "panoptic": ("image", "pooled"),
    "average": ("class_mean",),
}
"""The legal values of each field; the fields that are not here are free text."""


@dataclass(frozen=True)
class Protocol:
    """How label maps become the numbers of a table; a score without its protocol is no score.

    A class that is empty in one mask or in both has no distance, and published code disagrees on its Dice; so each of
    the three cases has a rule. ``zero``: Dice, IoU, HD95 and ASD are 0. ``perfect``: Dice and IoU are 1, distances 0.
    ``worst``: Dice and IoU are 0, distances the diagonal of the image. ``skip``: left out of all means, and counted.
    ``formula``: Dice and IoU as their formulas have it (0 for 0/0), distances 0 for an absent class, else the diagonal.
    Panoptic quality knows no such rules: an image with nothing to find counts 0, as in CoNIC.

    Args:
        name: the protocol's name.
        unit: what one score belongs to: a "volume" (3D), a "slice" (a volume is cut along its first axis), an "image"
            (2D), or a "case" (volume or image, as a whole).
        grid: "original", the label map is compared on the data's own pixels, or "network", both are brought to the size
            of the network's input.
        spacing: unit of distances, "voxel" or "mm"; mm becomes voxels where the data gives no spacing.
        hd95: "pooled", the percentile of both directions together (medpy), or "max", the larger one of two (MONAI).
        asd: property of SurfaceDistances that is reported as ASD: asd, asd_reversed, assd or assd_mean.
        absent: rule for a class in neither mask.
        missed: rule for a class in the truth only.
        hallucinated: rule for a class in the prediction only.
        dice: formula of Dice, "plain" or as in "transfuse" or "uctransnet" (magicseg.metrics.overlap).
        iou: formula of IoU, "plain" (foreground), "macro" (mean of foreground and background) or "transfuse".
        instances: how a mask becomes instances for panoptic quality: components_4, components_8 or watershed; "none"
            leaves panoptic quality out.
        true_instances: "same", the true mask becomes instances in the same way, or "given", the data set's own.
        panoptic: "image", the mean of the images' PQ, or "pooled", the PQ of all images' instances together.
        average: "class_mean", per class over all cases, then over classes.
        threshold: how a network's output became labels, in words; a run says what its recipe did.
        selection: which checkpoint is scored, in words.
        resampling: how predictions came to the grid on which they are scored, in words; as threshold.
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
    dice: str = "plain"
    iou: str = "plain"
    instances: str = "none"
    true_instances: str = "same"
    panoptic: str = "image"
    average: str = "class_mean"
    grid: str = "original"
    threshold: str = "class of the largest logit"
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
        true = "the data set's own" if self.true_instances == "given" else "found in the same way"
        found = f"PQ {self.panoptic}, instances by {self.instances}, true ones {true}; "
        panoptic = found if self.instances != "none" else ""
        grid = "of the network's input" if self.grid == "network" else "of the data"
        return (
            f"Protocol {self.name}: one score per {self.unit} and class on the grid {grid}, "
            f"mean over {self.unit}s, then over classes; "
            f"Dice {self.dice}, IoU {self.iou}; HD95 {self.hd95}, ASD as {self.asd}, in {unit}; {panoptic}"
            f"class absent: {self.absent}, missed: {self.missed}, hallucinated: {self.hallucinated}; "
            f"labels: {self.threshold}; checkpoint: {self.selection}; resampling: {self.resampling}; "
            f"source: {self.source}."
        )
