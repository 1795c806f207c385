"""The training loop: epochs of steps, validation, checkpoints. Every epoch starts from (seed, epoch) alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from magicseg.assembly.checkpoint import load_checkpoint, save_checkpoint
from magicseg.convs import TemperatureSchedule, set_temperature
from magicseg.errors import UserError
from magicseg.files import csv_text, write_text
from magicseg.models.model import all_finite
from magicseg.runs import RunFolder
from magicseg.seeding import derive_seed
from magicseg.training.optim import Schedule, set_learning_rate

Validate = Callable[[nn.Module], dict[str, float]]
"""Scores a model on the validation cases; returns nothing where there are none."""

Clip = Callable[[Iterable[nn.Parameter]], object]
"""Limits gradients in place."""


class Selection(NamedTuple):
    """Which epoch's weights are scored: that with the best value of ``score``, or the last one where it is None."""

    score: str | None
    best: Callable[..., Any] = max

    def is_best(self, history: list[dict[str, float]]) -> bool:
        """Return whether the last epoch is the best so far; the first of equals stays, NaN is worse than any number."""
        score = self.score
        if score is None:
            return False
        rows = [row for row in history if not math.isnan(row[score])] or history
        return self.best(rows, key=lambda row: row[score]) is history[-1]


SELECTIONS = {
    "best_validation_dice": Selection("dice"),
    "best_validation_loss": Selection("validation_loss", min),
    "best_validation_dice_loss": Selection("validation_dice_loss", min),
    "last": Selection(None),
}

Draw = Callable[[nn.Module], np.ndarray]
"""Draws what a model makes of some validation slices, [H, W, 3] in [0, 1]."""


@dataclass
class Trainer:
    """What one training needs; ``fit`` trains to the end, from wherever the run folder's checkpoint stands."""

    model: nn.Module
    loss: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    loader: DataLoader
    validate: Validate
    draw: Draw | None
    selection: Selection
    folder: RunFolder
    epochs: int
    seed: int
    device: torch.device
    clip: Clip | None = None
    temperature: TemperatureSchedule | None = None
    autocast: torch.dtype | None = None
    progress: bool = True
    history: list[dict[str, float]] = field(default_factory=list)

    def fit(self) -> None:
        """Train for the remaining epochs; checkpoints and curves are written after each."""
        first = self._resume()
        spent, started = self.folder.status().get("seconds", 0.0), time.monotonic()  # by former sessions, by this one
        with SummaryWriter(self.folder.tensorboard, purge_step=first + 1) as writer:  # hides that step and later
            total = self.epochs * len(self.loader)
            bar = tqdm(total=total, initial=first * len(self.loader), disable=not self.progress, unit="step")
            with bar:
                for epoch in range(first, self.epochs):
                    loss = self._train_epoch(epoch, bar)
                    self._set_temperature(epoch + 1)
                    scores = self.validate(self.model)
                    self._record(epoch, {"loss": loss, **scores}, writer)
                    if self.draw is not None:
                        writer.add_image("validation", self.draw(self.model), epoch + 1, dataformats="HWC")
                    self._save(epoch)
                    seconds = spent + time.monotonic() - started
                    self.folder.set_status("running", epoch=epoch + 1, epochs=self.epochs, seconds=seconds)
                    shown = {"loss": loss, **{f"val_{name}": scores[name] for name in scores if name == "dice"}}
                    bar.set_postfix({name: f"{value:.4f}" for name, value in shown.items()})

    def _train_epoch(self, epoch: int, bar: tqdm) -> float:
        torch.manual_seed(derive_seed(self.seed, "model", epoch))  # dropout and the like
        self.loader.batch_sampler.epoch = epoch  # type: ignore[union-attr]
        self.model.train()
        losses = []
        bar.set_description(f"epoch {epoch + 1}/{self.epochs}")
        for step, (images, labels) in enumerate(self.loader, start=epoch * len(self.loader)):
            set_learning_rate(self.optimizer, self.schedule(step, len(self.loader), self.epochs))
            self._set_temperature(step / len(self.loader))
            losses.append(self._step(images.to(self.device), labels.to(self.device), step))
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
            bar.update()
        return math.fsum(losses) / len(losses)

    def _set_temperature(self, epochs: float) -> None:
        """Set the temperature of the kernel attention to its value after so many epochs."""
        if self.temperature is not None:
            set_temperature(self.model, self.temperature.at(epochs))

    def _step(self, images: Tensor, labels: Tensor, step: int) -> float:
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            loss = self.loss(self.model(images), labels)
        value = loss.item()
        if not math.isfinite(value):  # before the optimiser's step, so that the weights stay good
            raise UserError(
                f"The loss is {value} at step {step} (epoch {step // len(self.loader) + 1}); the weights were left as "
                f"they were and {self.folder.last} holds the last whole epoch. A lower learning rate "
                "(recipe.optimizer.lr) or gradient clipping usually helps."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip is not None:
            self.clip(self.model.parameters())
        self.optimizer.step()
        return value

    def _record(self, epoch: int, scores: dict[str, float], writer: SummaryWriter) -> None:
        rate = self.optimizer.param_groups[0]["lr"]
        self.history.append({"epoch": epoch + 1, "learning_rate": rate, **scores})
        if self.temperature is not None:
            self.history[-1]["temperature"] = self.temperature.at(epoch + 1)
        for name, value in self.history[-1].items():
            if name != "epoch":
                writer.add_scalar(name if "/" in name else f"training/{name}", value, epoch + 1)
        write_text(self.folder.curves, csv_text(self.history, self.history[-1]))

    def _save(self, epoch: int) -> None:
        if not all_finite(self.model):
            raise UserError(
                f"Weights are NaN or infinite after epoch {epoch + 1}; {self.folder.last} keeps the epoch before."
            )
        state: dict[str, Any] = {"epoch": epoch + 1, "model": self.model.state_dict(), "history": self.history}
        if self.selection.is_best(self.history):
            save_checkpoint(self.folder.best, state)
        save_checkpoint(self.folder.last, {**state, "optimizer": self.optimizer.state_dict()})

    def _resume(self) -> int:
        """Load the last checkpoint if there is one; return the number of epochs that are done."""
        if not self.folder.last.is_file():
            return 0
        state = load_checkpoint(self.folder.last)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = state["history"]
        return int(state["epoch"])
