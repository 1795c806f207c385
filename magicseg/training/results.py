"""What a trained run leaves behind: predictions, scores, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig
from torch import nn
from tqdm import tqdm

from magicseg.assembly.build import preprocessing
from magicseg.assembly.trained import load_weights
from magicseg.data import load_case
from magicseg.evaluation.evaluate import Scores, rank_cases, score_cases, summaries, write_cases
from magicseg.evaluation.predict import load_prediction, predict_volume, save_prediction
from magicseg.files import read_json, write_json
from magicseg.metrics import Protocol
from magicseg.reports.overlays import save_overlay
from magicseg.runs import RunFolder, sources
from magicseg.training.data import CaseSet
from magicseg.training.loop import SELECTIONS


def predict_cases(config: DictConfig, folder: RunFolder, model: nn.Module, test: CaseSet) -> dict[str, Any]:
    """Predict every test case with the chosen checkpoint and keep its label map on the original grid.

    Returns:
        What the summary says of the checkpoint: the rule that chose it, its epoch and its value under the rule.
    """
    chosen = load_weights(config, folder, model)["history"][-1]
    view = preprocessing(config.recipe)
    for case in tqdm(test.cases, desc="predicting", unit="case", disable=not config.trainer.progress):
        image, _ = load_case(test.root, case)
        label = predict_volume(model, image, view)
        save_prediction(folder.predictions / f"{case.name}.npz", label)
    rule = config.recipe.selection
    return {"rule": rule, "epoch": chosen["epoch"], "value": chosen.get(SELECTIONS[rule].score)}


def write_scores(
    config: DictConfig, folder: RunFolder, test: CaseSet, protocols: Mapping[str, Protocol], facts: dict[str, Any]
) -> None:
    """Score the kept predictions under every protocol; write cases.csv, summary.json and the overlay pictures.

    Args:
        config: the run's configuration.
        folder: the run.
        test: the test cases.
        protocols: role -> protocol.
        facts: further entries of the summary: checkpoint, data, parameters, seconds.
    """
    scores = score_cases(
        folder.predictions,
        test.cases,
        test.root,
        list(config.dataset.classes),
        protocols,
        preprocessing(config.recipe),
        progress=config.trainer.progress,
        workers=config.trainer.workers,
    )
    write_cases(folder.cases, scores, {case.name: case.subject for case in test.cases})
    if config.trainer.overlays:
        write_overlays(config, folder, test, scores)
    summary = {
        "dataset": config.dataset.name,
        "backbone": config.backbone.name,
        "conv": config.conv.name,
        "seed": config.seed,
        "variant": folder.path.name.split("-")[0],
        "budget": config.recipe.budget,
        "scores": summaries(scores, protocols),
        "provenance": read_json(folder.provenance),
        "scored": sources(),  # mode=evaluate may come years after the training
        **facts,
    }
    write_json(folder.summary, summary)


def write_overlays(config: DictConfig, folder: RunFolder, test: CaseSet, scores: Scores) -> None:
    """Draw the best, the median and the worst case by mean Dice under the data set's own protocol."""
    ranked = rank_cases(scores["paper"])
    by_name = {case.name: case for case in test.cases}
    for kind, name in (("best", ranked[0]), ("median", ranked[len(ranked) // 2]), ("worst", ranked[-1])):
        image, truth = load_case(test.root, by_name[name])
        prediction = load_prediction(folder.predictions / f"{name}.npz")
        dice = ", ".join(f"{score.name} {100 * score.dice:.1f}" for score in scores["paper"][name])
        title = f"{kind} case: {name} (Dice %: {dice})"
        save_overlay(folder.overlays / f"{kind}.png", image, truth, prediction, config.dataset.classes, title)
