"""The training loop on a network of one weight: which epoch it keeps, and what it leaves for TensorBoard."""

import math

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader

from magicseg.assembly.checkpoint import load_checkpoint
from magicseg.data import EpochBatches
from magicseg.runs import RunFolder
from magicseg.training.loop import SELECTIONS, Trainer
from magicseg.training.optim import constant

NAN = math.nan


class Pairs:
    """Two samples of noise."""

    def __getitem__(self, key):
        return torch.randn(2, 1), torch.zeros(1)


class Loss(nn.Module):
    def forward(self, outputs, labels):
        return outputs.square().mean()


@pytest.fixture
def fit(tmp_path):
    """Train, or go on, until every one of these validation scores was had; return the run folder."""

    def fitted(scores, rule="best_validation_loss"):
        model, folder = nn.Linear(1, 1), RunFolder(tmp_path)
        following = iter(scores[load_checkpoint(folder.last)["epoch"] :] if folder.last.is_file() else scores)
        Trainer(
            model=model,
            loss=Loss(),
            optimizer=torch.optim.SGD(model.parameters(), 0.01),
            schedule=constant,
            loader=DataLoader(Pairs(), batch_sampler=EpochBatches(2, 1, 0, shuffle=True, drop_last=False)),
            validate=lambda model: {SELECTIONS[rule].score: next(following)},
            draw=None,
            selection=SELECTIONS[rule],
            folder=folder,
            epochs=len(scores),
            seed=0,
            device=torch.device("cpu"),
            progress=False,
        ).fit()
        return folder

    return fitted


@pytest.mark.parametrize(
    ("rule", "scores", "best"),
    [
        ("best_validation_loss", [3, 1, 2, 1], 2),
        ("best_validation_loss", [NAN, NAN, 5, 6], 3),
        ("best_validation_loss", [NAN, math.inf], 2),
        ("best_validation_loss", [NAN, NAN], 1),
        ("best_validation_dice", [0.1, 0.3, NAN, 0.3], 2),
        ("best_validation_dice", [NAN, 0.0, NAN], 2),
    ],
)
def test_the_best_epoch_is_kept_the_first_of_equals_and_nan_is_worse_than_any(fit, rule, scores, best):
    assert load_checkpoint(fit(scores, rule).best)["epoch"] == best


def test_going_on_loses_no_epoch_of_tensorboards_curves(fit):
    for epochs in (2, 3, 5):
        folder = fit([0.5] * epochs)
    events = EventAccumulator(str(folder.tensorboard)).Reload()
    assert [event.step for event in events.Scalars("training/loss")] == [1, 2, 3, 4, 5]
