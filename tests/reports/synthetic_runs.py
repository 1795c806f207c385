"""Run folders with made-up scores, as training leaves them."""

import json
from dataclasses import asdict

from magicseg.metrics import Protocol

CLASSES = {
    "acdc": ["RV", "Myo", "LV"],
    "glas": ["gland"],
    "synapse": ["aorta", "gallbladder", "left_kidney", "right_kidney", "liver", "pancreas", "spleen", "stomach"],
}
TRANSUNET = Protocol("transunet", "volume", "voxel", "pooled", "assd", "zero", "zero", "perfect", source="TransUNet")
STRICT = Protocol("strict", "case", "mm", "pooled", "assd", "skip", "worst", "worst")


def scores(protocol, unit, classes, dice, hd95):
    values = {"dice": dice, "iou": dice / 2, "accuracy": 0.99, "hd95": hd95, "asd": 1.0}
    spread = {
        metric: {"mean": value, "std": 0.1, "median": value, "worst": value, "n": 40}
        for metric, value in values.items()
    }
    counts = {"cases": 40, "absent": 0, "missed": 0, "hallucinated": 0}
    return {
        "protocol": asdict(protocol),
        "unit": unit,
        "classes": {name: spread for name in classes},
        "mean": values,
        "counts": counts,
    }


def summary(dataset="acdc", backbone="unet", conv="regular", seed=1, dice=0.9, hd95=2.0, **changes):
    classes = CLASSES.get(dataset, ["lesion"])
    return {
        "dataset": dataset,
        "backbone": backbone,
        "conv": conv,
        "seed": seed,
        "variant": "1a2b3c4d",
        "budget": "full",
        "scores": {
            "paper": scores(TRANSUNET, "voxel", classes, dice, hd95),
            "strict": scores(STRICT, "mm", classes, dice, hd95),
        },
        "checkpoint": {"rule": "best_validation_dice", "epoch": 9, "value": 0.87},
        "data": {"manifest": "feedbeef" * 8, "split": "mtunet", "missing": []},
        "parameters": 31_042_564,
        "seconds": 512.3,
        "provenance": {
            "code": "c0de" * 16,
            "git": {"commit": "c51856c4aa0f" * 3, "dirty": False},
            "device": "NVIDIA H200",
        },
    } | changes


def write_run(outputs, content, state="finished", name=None):
    """Write the run that ``content`` describes and return the path of its summary."""
    folder = name or f"{content['variant']}-s{content['seed']}"
    path = outputs / content["dataset"] / content["backbone"] / content["conv"] / folder / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    path.with_name("status.json").write_text(json.dumps({"state": state}))
    return path
