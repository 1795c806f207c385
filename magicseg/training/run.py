"""One run, from its configuration to its scores: data, network, training, predictions, evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from omegaconf import DictConfig

from magicseg.assembly.build import build_model, build_temperature
from magicseg.data import cases_to_slices
from magicseg.errors import choose
from magicseg.evaluation.evaluate import check_protocols
from magicseg.evaluation.validation import Validation
from magicseg.files import read_json
from magicseg.models.model import count_parameters
from magicseg.reports.scores import score_table
from magicseg.runs import RunFolder
from magicseg.training.data import (
    check_parts,
    fill_in,
    generate_phantom,
    open_data,
    training_batches,
    validation_cases,
    validation_picture,
)
from magicseg.training.folder import find_folder
from magicseg.training.interruption import recorded
from magicseg.training.keys import check_keys
from magicseg.training.loop import SELECTIONS, Trainer
from magicseg.training.optim import schedule
from magicseg.training.protocols import protocols_of
from magicseg.training.rescoring import evaluate_again, former_scores
from magicseg.training.results import predict_cases, write_scores
from magicseg.training.setup import (
    PRECISIONS,
    build_clip,
    build_loss,
    build_optimizer,
    check,
    check_last_batch,
    record_provenance,
    set_up,
    validation_losses,
)


def run(config: DictConfig, overrides: Sequence[str] = ()) -> None:
    """Train, or score again, as ``config.mode`` says; print the scores and where everything lies.

    ``overrides`` are those of the command line, which tell what was said from what is only a default.
    """
    choose("mode", config.mode, ("train", "evaluate"))
    check_keys(config)
    folder = train(config) if config.mode == "train" else evaluate_again(config, overrides)
    print(f"\n{score_table(read_json(folder.summary)['scores'])}\n")
    print(f"run folder  {folder.path}")
    for picture in sorted(folder.overlays.glob("*.png")):
        print(f"overlay     {picture}")


def train(config: DictConfig) -> RunFolder:
    """Train and score the run that ``config`` describes, or go on with it; return its folder.

    Raises:
        UserError: no data, a run that another process works on, a loss that is not finite, ...
    """
    fill_in(config.dataset)
    check(config)
    folder = find_folder(config)
    if folder.finished():
        print(f"This run is finished. Delete {folder.path} to train it again.")
        for role in sorted(protocols_of(config).keys() - former_scores(folder).protocols.keys()):
            print(f"It is not scored under {role} yet: mode=evaluate run={folder.path} protocol={role}")
        return folder
    device = set_up(config.trainer)
    with folder.lock():
        if not folder.finished():  # another process may have ended it in the meantime
            with recorded(folder):
                _train(config, folder, device)
    return folder


def _train(config: DictConfig, folder: RunFolder, device: torch.device) -> None:
    generate_phantom(config.dataset)
    data = open_data(config)
    check_parts(config, data)
    protocols = protocols_of(config)
    check_protocols(data.test.cases, protocols.values())
    check_last_batch(config, len(cases_to_slices(data.train.cases)))
    model = build_model(config, pretrained=not folder.last.is_file()).to(device)
    record_provenance(config, folder, data.facts["manifest"], device)
    loss = build_loss(config)
    scores = Validation(validation_cases(config, data), config.dataset.classes, validation_losses(loss))
    Trainer(
        model=model,
        loss=loss,
        optimizer=build_optimizer(config, model),
        schedule=schedule(config.recipe.schedule),
        loader=training_batches(config, data, pin_memory=device.type == "cuda"),
        validate=scores,
        draw=validation_picture(scores),
        selection=SELECTIONS[config.recipe.selection],
        folder=folder,
        epochs=config.recipe.epochs,
        seed=config.seed,
        device=device,
        clip=build_clip(config),
        temperature=build_temperature(config),
        autocast=PRECISIONS[config.trainer.precision],
        progress=config.trainer.progress,
    ).fit()
    facts = {
        "checkpoint": predict_cases(config, folder, model, data.test),
        "data": data.facts,
        "parameters": count_parameters(model),
        "seconds": folder.status().get("seconds", 0.0),  # of the training, all sessions together
    }
    write_scores(config, folder, data.test, protocols, facts)
    folder.set_status("finished", epoch=config.recipe.epochs, epochs=config.recipe.epochs)
