"""One run, from its configuration to its scores: data, network, training, predictions, evaluation."""

from __future__ import annotations

import time
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from magicseg.errors import UserError, choose
from magicseg.files import read_json
from magicseg.models.model import count_parameters
from magicseg.reports.scores import score_table
from magicseg.runs import RunFolder
from magicseg.training.data import open_data, training_batches, validation, validation_picture
from magicseg.training.interruption import recorded
from magicseg.training.loop import Trainer
from magicseg.training.optim import schedule
from magicseg.training.results import predict_cases, write_scores
from magicseg.training.setup import (
    PRECISIONS,
    build_loss,
    build_model,
    build_temperature,
    check,
    find_folder,
    load_config,
    record_provenance,
    set_up,
)


def run(config: DictConfig) -> None:
    """Train, or score again, as ``config.mode`` says; print the scores and where everything lies."""
    choose("mode", config.mode, ("train", "evaluate"))
    folder = train(config) if config.mode == "train" else evaluate_again(config)
    print(f"\n{score_table(read_json(folder.summary)['scores'])}\n")
    print(f"run folder  {folder.path}")
    for picture in sorted(folder.overlays.glob("*.png")):
        print(f"overlay     {picture}")


def train(config: DictConfig) -> RunFolder:
    """Train and score the run that ``config`` describes, or go on with it; return its folder.

    Raises:
        UserError: no data, a run that another process works on, a loss that is not finite, ...
    """
    check(config)
    folder = find_folder(config)
    if folder.finished():
        print(f"This run is finished. Delete {folder.path} to train it again.")
        return folder
    device = set_up(config.trainer)
    with folder.lock(), recorded(folder):
        started = time.monotonic()
        data = open_data(config)
        model = build_model(config).to(device)
        record_provenance(config, folder, data.manifest.digest, device)
        scores = validation(config, data)
        Trainer(
            model=model,
            loss=build_loss(config),
            optimizer=instantiate(config.recipe.optimizer)(model.parameters()),
            schedule=schedule(config.recipe.schedule),
            loader=training_batches(config, data, pin_memory=device.type == "cuda"),
            validate=scores,
            draw=validation_picture(scores),
            folder=folder,
            epochs=config.recipe.epochs,
            seed=config.seed,
            device=device,
            temperature=build_temperature(config),
            autocast=PRECISIONS[config.trainer.precision],
            progress=config.trainer.progress,
        ).fit()
        predict_cases(config, folder, model, data.split.test)
        facts = {"data": data.facts, "parameters": count_parameters(model), "seconds": time.monotonic() - started}
        write_scores(config, folder, data.split.test, facts)
        folder.set_status("finished", epoch=config.recipe.epochs, epochs=config.recipe.epochs)
    return folder


def evaluate_again(config: DictConfig) -> RunFolder:
    """Score the kept predictions of the run ``config.run`` again, without the network.

    The run's own configuration holds, but for ``protocol`` and ``trainer``, which come from the command line.
    """
    if config.run is None:
        raise UserError("mode=evaluate needs the folder of a finished run: run=DIR.")
    folder = RunFolder(Path(config.run))
    if not folder.finished():
        raise UserError(f"{folder.path} is not the folder of a finished run: no summary.json with status finished.")
    own = load_config(folder)
    config.dataset = own.dataset  # protocol=paper now means this data set's
    own.protocol, own.trainer = config.protocol, config.trainer
    with folder.lock():
        data = open_data(own)
        former = read_json(folder.summary)
        if data.manifest.digest != former["data"]["manifest"]:
            raise UserError(f"The data in {own.dataset.root} are not those that {folder.path} was trained on.")
        write_scores(own, folder, data.split.test, {key: former[key] for key in ("data", "parameters", "seconds")})
    return folder
