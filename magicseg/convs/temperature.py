"""Temperature of the kernel attention: how the published operators lower it during training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from magicseg.convs.checks import check_temperature


@dataclass(frozen=True)
class TemperatureSchedule:
    """Temperature as a pure function of training progress, so that a resumed run gets the same numbers.

    Args:
        start: temperature before training.
        drop: by how much it falls in one epoch; 0 keeps it constant.
        end: it never falls below this.
        per_epoch: it falls in one step at the end of each epoch, not a little at every iteration.

    Raises:
        ValueError: not 0 < end <= start, or drop below 0.
    """

    start: float
    drop: float = 0.0
    end: float = 1.0
    per_epoch: bool = True

    def __post_init__(self) -> None:
        if not (0 < self.end <= self.start < math.inf and 0 <= self.drop < math.inf):
            raise ValueError(
                f"A temperature schedule needs 0 < end <= start and drop >= 0, all finite; "
                f"found start={self.start}, end={self.end}, drop={self.drop}."
            )

    def at(self, epochs: float) -> float:
        """Return the temperature after so many epochs of training, e.g. 2.5 in the middle of the third.

        Raises:
            ValueError: epochs below 0.
        """
        if not epochs >= 0:
            raise ValueError(f"Training progress must be at least 0 epochs, found {epochs}.")
        done = math.floor(epochs) if self.per_epoch else epochs
        return max(self.end, self.start - self.drop * done)


SCHEDULES = {
    # kaijieshi7/Dynamic-convolution-Pytorch: less 3 after every epoch; 4 after ten epochs, 1 after eleven
    "dyconv": TemperatureSchedule(start=34, drop=3),
    # OSVAI/ODConv: 30 to 1 on a line over ten epochs, set anew at every iteration
    "odconv": TemperatureSchedule(start=30, drop=2.9, per_epoch=False),
    # Segment82/MAGIC: 30 throughout; its method that lowers it is never called
    "magic_released": TemperatureSchedule(start=30),
    # the same, had that method been called after every epoch
    "magic_released_annealed": TemperatureSchedule(start=30, drop=1),
}
"""The published schedules by name."""


def set_temperature(model: nn.Module, temperature: float) -> int:
    """Set ``temperature`` on every module of ``model`` that has one; return how many have.

    Raises:
        ValueError: the temperature is not a positive number.
    """
    value = check_temperature(temperature)
    modules = [module for module in model.modules() if hasattr(module, "temperature")]
    for module in modules:
        module.temperature = value  # type: ignore[assignment]
    return len(modules)
