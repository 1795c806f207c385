"""What a trained run leaves behind: predictions, scores, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import nn
from tqdm import tqdm

from magicseg.convs import set_temperature
from magicseg.data import Case, load_case
from magicseg.errors import UserError
from magicseg.evaluation.evaluate import Scores, rank_cases, score_cases, summaries, write_cases
from magicseg.evaluation.predict import load_prediction, predict_volume, save_prediction
from magicseg.files import read_json, write_json
from magicseg.metrics import Protocol
from magicseg.reports.overlays import save_overlay
from magicseg.runs import RunFolder
from magicseg.training.checkpoint import load_checkpoint
from magicseg.training.setup import build_temperature


def load_chosen(config: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Return the checkpoint that the recipe's selection rule chooses."""
    return load_checkpoint(folder.last if config.recipe.selection == "last" else folder.best)


def predict_cases(config: DictConfig, folder: RunFolder, model: nn.Module, cases: list[Case]) -> None:
    """Predict every test case with the chosen checkpoint and keep its label map on the original grid."""
    checkpoint = load_chosen(config, folder)
    model.load_state_dict(checkpoint["model"])
    temperature = build_temperature(config)
    if temperature is not None:  # the kernel attention is as hot as when the checkpoint was written
        set_temperature(model, temperature.at(checkpoint["epoch"]))
    for case in tqdm(cases, desc="predicting", unit="case", disable=not config.trainer.progress):
        image, _ = load_case(Path(config.dataset.root), case)
        label = predict_volume(model, image, config.recipe.size)
        save_prediction(folder.predictions / f"{case.name}.npz", label)


def protocols_of(config: DictConfig) -> dict[str, Protocol]:
    """Return role -> protocol: the data set's own ("paper"), "strict", and the chosen one if it is neither."""
    roles = {"paper": config.dataset.paper_protocol, "strict": config.strict}
    if config.protocol not in roles.values():
        roles[config.protocol.name] = config.protocol
    try:
        return {role: Protocol(**dict(node)) for role, node in roles.items()}
    except (TypeError, ValueError) as error:
        raise UserError(f"protocol: {error}") from error


def write_scores(config: DictConfig, folder: RunFolder, cases: list[Case], facts: dict[str, Any]) -> None:
    """Score the kept predictions under every protocol; write cases.csv, summary.json and the overlay pictures.

    Args:
        config: the run's configuration.
        folder: the run.
        cases: the test cases.
        facts: further entries of the summary: data, parameters, seconds, ...
    """
    protocols = protocols_of(config)
    root, classes = Path(config.dataset.root), list(config.dataset.classes)
    trainer = config.trainer
    scores = score_cases(folder.predictions, cases, root, classes, protocols, trainer.progress, workers=trainer.workers)
    write_cases(folder.cases, scores)
    if config.trainer.overlays:
        write_overlays(config, folder, cases, scores)
    chosen = load_chosen(config, folder)["history"][-1]
    summary = {
        "dataset": config.dataset.name,
        "backbone": config.backbone.name,
        "conv": config.conv.name,
        "seed": config.seed,
        "variant": folder.path.name.split("-")[0],
        "budget": config.recipe.budget,
        "scores": summaries(scores, protocols),
        "checkpoint": {"rule": config.recipe.selection, "epoch": chosen["epoch"], "value": chosen["dice"]},
        "provenance": read_json(folder.provenance),
        **facts,
    }
    write_json(folder.summary, summary)


def write_overlays(config: DictConfig, folder: RunFolder, cases: list[Case], scores: Scores) -> None:
    """Draw the best, the median and the worst case by mean Dice under the data set's own protocol."""
    ranked = rank_cases(scores["paper"])
    by_name = {case.name: case for case in cases}
    for kind, name in (("best", ranked[0]), ("median", ranked[len(ranked) // 2]), ("worst", ranked[-1])):
        image, truth = load_case(Path(config.dataset.root), by_name[name])
        prediction = load_prediction(folder.predictions / f"{name}.npz")
        dice = ", ".join(f"{score.name} {100 * score.dice:.1f}" for score in scores["paper"][name])
        title = f"{kind} case: {name} (Dice %: {dice})"
        save_overlay(folder.overlays / f"{kind}.png", image, truth, prediction, config.dataset.classes, title)
