"""Learning rates as a function of the step alone, so that a resumed run needs no schedule state."""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer

from magicseg.errors import choose

Schedule = Callable[[int, int], float]


def poly(step: int, steps: int) -> float:
    """(1 - s / steps)^0.9, where s lags one step behind: TransUNet sets the rate after the optimiser's step.

    Steps 0 and 1 therefore both use the full rate.
    """
    return (1 - max(step - 1, 0) / steps) ** 0.9


def constant(step: int, steps: int) -> float:
    """One rate for all steps."""
    return 1.0


SCHEDULES: dict[str, Schedule] = {"poly": poly, "constant": constant}


def schedule(name: str) -> Schedule:
    """Return the factor on the learning rate as a function (step, steps); UserError for an unknown name."""
    return SCHEDULES[choose("recipe.schedule", name, SCHEDULES)]


def set_learning_rate(optimizer: Optimizer, factor: float) -> float:
    """Set each parameter group to ``factor`` times the rate it was created with; return the first group's rate."""
    for group in optimizer.param_groups:
        group.setdefault("base_lr", group["lr"])
        group["lr"] = group["base_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])
