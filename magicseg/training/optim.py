"""Learning rates as a function of the step alone, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer

from magicseg.errors import choose

Schedule = Callable[[int, int, int], float]
"""Maps (step, steps of an epoch, epochs) to a factor on the learning rate."""


def poly(step: int, epoch_steps: int, epochs: int) -> float:
    """(1 - s / steps)^0.9, where s lags one step behind: TransUNet sets the rate after the optimiser's step.

    Steps 0 and 1 therefore both use the full rate.
    """
    return (1 - max(step - 1, 0) / (epoch_steps * epochs)) ** 0.9


def poly_per_epoch(step: int, epoch_steps: int, epochs: int) -> float:
    """(1 - epoch / epochs)^0.9, as CTO's code sets it before each epoch."""
    return (1 - (step // epoch_steps) / epochs) ** 0.9


def cosine_restarts(step: int, epoch_steps: int, epochs: int) -> float:
    """From 1 to 0.1 along a cosine within 10 epochs, over and over: UCTransNet (1e-3 to 1e-4)."""
    phase = (step // epoch_steps) % 10 / 10
    return 0.1 + 0.9 * (1 + math.cos(math.pi * phase)) / 2


def constant(step: int, epoch_steps: int, epochs: int) -> float:
    """One rate for all steps."""
    return 1.0


SCHEDULES: dict[str, Schedule] = {
    "poly": poly,
    "poly_per_epoch": poly_per_epoch,
    "cosine_restarts": cosine_restarts,
    "constant": constant,
}


def schedule(name: str) -> Schedule:
    """Return the learning rate's factor as a function of the step; UserError for an unknown name."""
    return SCHEDULES[choose("recipe.schedule", name, SCHEDULES)]


def set_learning_rate(optimizer: Optimizer, factor: float) -> float:
    """Set each parameter group to ``factor`` times the rate it was created with; return the first group's rate."""
    for group in optimizer.param_groups:
        group.setdefault("base_lr", group["lr"])
        group["lr"] = group["base_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])
