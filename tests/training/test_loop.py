"""The training loop on a network of one weight: its steps, which epoch it keeps, what it leaves for TensorBoard."""

import math

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader

from magicseg.assembly.checkpoint import load_checkpoint
from magicseg.convs import TemperatureSchedule
from magicseg.data import EpochBatches
from magicseg.errors import UserError
from magicseg.runs import RunFolder
from magicseg.training.loop import SELECTIONS, Trainer
from magicseg.training.optim import constant

NAN = math.nan


class Pairs:
    """Two samples of noise, labelled by what they were asked for with: epoch and index."""

    def __getitem__(self, key):
        return torch.randn(2, 1), torch.tensor(key)


class Loss(nn.Module):
    def forward(self, outputs, labels):
        return outputs.square().mean()


@pytest.fixture
def fit(tmp_path):
    """Train, or go on, until every one of these validation scores was had; return the run folder.

    An epoch has two steps. Options take the place of what the trainer is given.
    """

    def fitted(scores, rule="best_validation_loss", model=None, folder="run", **options):
        model, folder = model or nn.Linear(1, 1), RunFolder(tmp_path / folder)
        following = iter(scores[load_checkpoint(folder.last)["epoch"] :] if folder.last.is_file() else scores)
        given = {
            "loss": Loss(),
            "optimizer": torch.optim.SGD(model.parameters(), 0.01),
            "schedule": constant,
            "loader": DataLoader(Pairs(), batch_sampler=EpochBatches(2, 1, 0, shuffle=True, drop_last=False)),
            "validate": lambda model: {SELECTIONS[rule].score: next(following)},
            "draw": None,
            "selection": SELECTIONS[rule],
            "epochs": len(scores),
            "seed": 0,
            "device": torch.device("cpu"),
            "progress": False,
        }
        Trainer(model=model, folder=folder, **given | options).fit()
        return folder

    return fitted


class Weight(nn.Module):
    """Returns its only weight, 1 at first, whatever the input; notes in which state it was called, and with what."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1))
        self.temperature, self.modes, self.temperatures, self.inputs, self.types = 0.0, [], [], [], []

    def forward(self, x):
        output = nn.functional.linear(torch.ones(1, 1), self.weight)
        self.modes.append(self.training)
        self.temperatures.append(self.temperature)
        self.inputs.append(x.flatten().tolist())
        self.types.append(output.dtype)
        return output


class Product(nn.Module):
    """The loss is the output times one factor after the other; notes the samples."""

    def __init__(self, *factors):
        super().__init__()
        self.factors, self.samples = iter(factors), []

    def forward(self, outputs, labels):
        self.samples += labels.tolist()
        return outputs.sum() * next(self.factors)


def rows_of(folder):
    return load_checkpoint(folder.last)["history"]


def test_a_step_goes_down_its_own_gradient_at_its_own_rate(fit):
    model, loss, asked = Weight(), Product(1, 1, 1, 2), []

    def schedule(*place):
        asked.append(place)
        return len(asked)

    folder = fit([2, 1], model=model, loss=loss, schedule=schedule)
    assert sorted(loss.samples) == [[0, 0], [0, 1], [1, 0], [1, 1]]  # epoch, index
    assert asked == [(0, 2, 2), (1, 2, 2), (2, 2, 2), (3, 2, 2)]  # step, steps of an epoch, epochs
    assert model.weight.item() == pytest.approx(1 - 0.01 - 0.02 - 0.03 - 2 * 0.04)
    assert [row["loss"] for row in rows_of(folder)] == pytest.approx([(1 + 0.99) / 2, (0.97 + 2 * 0.94) / 2])
    assert [row["learning_rate"] for row in rows_of(folder)] == pytest.approx([0.02, 0.04])
    assert (folder.status()["epoch"], folder.status()["epochs"]) == (2, 2)


def test_gradients_are_limited_before_the_step(fit):
    model = Weight()
    fit([1], model=model, loss=Product(1, 1), clip=lambda weights: [weight.grad.mul_(0.5) for weight in weights])
    assert model.weight.item() == pytest.approx(0.99)


def test_every_epoch_trains_in_training_mode_whatever_the_validation_leaves(fit):
    model = Weight()
    fit([1, 1], model=model, loss=Product(1, 1, 1, 1), validate=lambda model: {"validation_loss": len([model.eval()])})
    assert model.modes == [True] * 4


@pytest.mark.parametrize(("precision", "found"), [(None, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_the_network_runs_in_the_precision_that_is_asked_for(fit, precision, found):
    model = Weight()
    fit([1], model=model, loss=Product(1, 1), autocast=precision)
    assert set(model.types) == {found}


def test_the_temperature_follows_the_step_and_is_that_of_the_next_epoch_for_the_validation(fit):
    schedule, model, validated = TemperatureSchedule(9, 2, per_epoch=False), Weight(), []

    def validate(model):
        validated.append(model.temperature)
        return {"validation_loss": 1.0}

    folder = fit([1, 1], model=model, loss=Product(1, 1, 1, 1), validate=validate, temperature=schedule)
    assert model.temperatures == [9, 8, 7, 6]
    assert validated == [row["temperature"] for row in rows_of(folder)] == [7, 5]


def test_noise_depends_on_seed_and_epoch_alone(fit):
    models = [Weight() for _ in range(3)]
    for number, (model, seed) in enumerate(zip(models, (0, 0, 1), strict=True)):
        torch.manual_seed(number)
        fit([1, 1], model=model, loss=Product(1, 1, 1, 1), folder=str(number), seed=seed)
    first, again, other = (model.inputs for model in models)
    assert first == again
    assert len({str(noise) for noise in first + other}) == 8


@pytest.mark.parametrize(
    ("factors", "options", "message", "epochs"),
    [
        ((1, 1, NAN), {}, r"The loss is nan at step 2 \(epoch 2\); .*last.pt holds the last whole epoch", 1),
        ((1, math.inf), {}, r"The loss is inf at step 1 \(epoch 1\)", 0),
        (
            (1, 1, 1, 1),
            {"clip": lambda weights: [weight.grad.fill_(math.inf if weight < 0.975 else 1) for weight in weights]},
            r"Weights are NaN or infinite after epoch 2; .*last.pt keeps the epoch before",
            1,
        ),
    ],
)
def test_what_is_not_finite_reaches_no_checkpoint(fit, tmp_path, factors, options, message, epochs):
    model = Weight()
    with pytest.raises(UserError, match=message):
        fit([2, 1], model=model, loss=Product(*factors), **options)
    checkpoints = RunFolder(tmp_path / "run")
    for path in (checkpoints.last, checkpoints.best):
        assert (load_checkpoint(path)["epoch"] if path.is_file() else 0) == epochs
    assert torch.isfinite(model.weight).all() == (not options)


def test_without_a_rule_there_is_no_best_epoch(fit):
    folder = fit([1, 1], "last", validate=lambda model: {})
    assert (folder.best.is_file(), load_checkpoint(folder.last)["epoch"]) == (False, 2)


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
