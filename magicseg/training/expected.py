"""How long a run may take: as long as finished runs of the same network and recipe did."""

from __future__ import annotations

import statistics
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from magicseg.errors import UserError
from magicseg.files import read_json
from magicseg.runs import RunFolder


def remaining(folder: RunFolder, config: DictConfig) -> float | None:
    """Return the seconds that a run may still train; None where nothing tells.

    Known is the time of finished runs of the same backbone, convolution and recipe, whatever their seed, fold or
    hardware, or else the time that this run's own first epochs took.
    """
    status = folder.status()
    done = status["epoch"] / status["epochs"] if status.get("epoch") else 0
    whole = _usual(folder.path.parent, _training(config))
    if whole is None and done and "seconds" in status:
        whole = status["seconds"] / done
    return None if whole is None else whole * (1 - done)


def _usual(folder: Path, training: str) -> float | None:
    seconds = [time for other, time in _finished(folder) if other == training]
    return statistics.median(seconds) if seconds else None


def _training(config: DictConfig) -> str:
    """Return what the time of a run depends on, as text."""
    return OmegaConf.to_yaml(
        OmegaConf.masked_copy(config, ["backbone", "conv", "recipe"]), resolve=True, sort_keys=True
    )


@cache
def _finished(folder: Path) -> list[tuple[str, float]]:
    """Return (training, seconds) of the finished runs beside each other that can be read."""
    found = []
    for run in map(RunFolder, sorted(folder.glob("*"))):
        try:
            if run.finished():
                config = OmegaConf.load(run.config)
                found.append((_training(config), float(read_json(run.summary)["seconds"])))  # type: ignore[arg-type]
        except (UserError, OSError, YAMLError, OmegaConfBaseException, ValueError, KeyError, TypeError):
            continue
    return found
