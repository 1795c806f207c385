"""Run folders with made-up scores, as training leaves them."""

import csv
import json
from dataclasses import asdict

import yaml

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


def fold(number, seed=1, conv="sgdc", **changes):
    """Return the summary of one fold of a cross-validation; its variant differs from fold to fold, as in real runs."""
    data = {"manifest": "feedbeef" * 8, "split": f"fold{number}", "missing": []}
    return summary("isic2018", "res2net", conv, seed, variant=f"{number}" * 8, data=data, **changes)


def write_run(outputs, content, state="finished", name=None, cases=None, subjects=None):
    """Write the run that ``content`` describes and return the path of its summary.

    ``content["config"]`` holds groups of its configuration, e.g. recipe; they are empty if it is not there. ``cases``
    maps case -> class -> metrics, ``subjects`` case -> subject.
    """
    content, config = {**content}, content.get("config", {})
    content.pop("config", None)
    folder = name or f"{content['variant']}-s{content['seed']}"
    path = outputs / content["dataset"] / content["backbone"] / content["conv"] / folder / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    path.with_name("status.json").write_text(json.dumps({"state": state}))
    dataset = {"name": content["dataset"], "root": "data", "split": content["data"]["split"], "paper_protocol": {}}
    groups = {"dataset": dataset, "backbone": {}, "conv": {"name": content["conv"]}, "recipe": {}}
    groups |= {"trainer": {"precision": "float32"}, **config}
    path.with_name("config.yaml").write_text(yaml.safe_dump(groups))
    if cases is not None:
        write_cases(path.with_name("cases.csv"), cases, subjects)
    return path


def write_cases(path, cases, subjects=None):
    """Write case -> class -> metrics as cases.csv, alike under both protocols; a metric that is left out is 0.5.

    Without ``subjects`` (case -> subject) it has no such column, as once.
    """
    given = (metric for classes in cases.values() for values in classes.values() for metric in values)
    metrics = dict.fromkeys(("dice", "iou", "accuracy", "hd95", "asd", *given), 0.5)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["protocol", "case", *(["subject"] if subjects else []), "name", *metrics])
        writer.writeheader()
        for protocol in ("paper", "strict"):
            for case, classes in cases.items():
                for name, values in classes.items():
                    subject = {"subject": subjects[case]} if subjects else {}
                    writer.writerow({"protocol": protocol, "case": case, **subject, "name": name} | metrics | values)
