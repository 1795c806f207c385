"""Count parameters and multiply-adds: ``python scripts/complexity.py backbone=unet conv=magic_4x``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from magicseg.arguments import parse, run_friendly
from magicseg.errors import UserError
from magicseg.reports.complexity import Complexity, measure
from magicseg.reports.complexity_tables import SIZE, compare_complexity
from magicseg.training.command import config_folder, explain
from magicseg.training.setup import build_model


@dataclass
class Options:
    """Count a network's parameters and multiply-adds for one image, or compare a paper's columns with such counts.

    backbone=..., conv=... and whatever else train.py takes choose the network.
    size: height and width of the image, in pixels.
    channels: of the image.
    classes: background included.
    table: magic_table5 or magic_table6, and nothing else: their rows as the paper counted them.
    """

    size: int = 256
    channels: int = 3
    classes: int = 9
    table: str = ""


def main(arguments: Sequence[str]) -> None:
    """Print the complexity of one network or of a table's."""
    own = [field.name for field in dataclasses.fields(Options)]
    overrides = [text for text in arguments if "=" in text and text.split("=", 1)[0] not in own]
    options = parse(Options, [text for text in arguments if text not in overrides])
    if not options.table:
        config = _configure(overrides, options.channels, options.classes, options.size)
        print(_describe(config, _measure(config)))
    elif len(arguments) > 1:
        others = [text for text in arguments if not text.startswith("table=")]
        raise UserError(f"table={options.table} says what is counted; leave out {' '.join(others)}.")
    else:
        print(compare_complexity(options.table, _measure_row))


def _measure_row(backbone: str, conv: str, channels: int, classes: int) -> Complexity:
    return _measure(_configure([f"backbone={backbone}", f"conv={conv}"], channels, classes, SIZE))


def _measure(config: DictConfig) -> Complexity:
    return measure(lambda: build_model(config), config.dataset.channels, config.recipe.size)


def _configure(overrides: list[str], channels: int, classes: int, size: int) -> DictConfig:
    """Return the configuration of a network for such images, whatever the data set."""
    for name, value in {"channels": channels, "classes": classes, "size": size}.items():
        if value < 1:
            raise UserError(f"{name}={value} must be at least 1.")
    labels = list(range(1, classes))
    return _compose([*overrides, f"dataset.channels={channels}", f"dataset.classes={labels}", f"recipe.size={size}"])


def _compose(overrides: list[str]) -> DictConfig:
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            return compose("config", overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from error


def _describe(config: DictConfig, cost: Complexity) -> str:
    channels, size, classes = config.dataset.channels, config.recipe.size, len(config.dataset.classes) + 1
    return "\n".join(
        [
            f"{config.backbone.name} with {config.conv.name}, {channels} x {size} x {size}, {classes} classes",
            f"parameters     {cost.parameters:,}",
            f"multiply-adds  {cost.macs / 1e9:.3f} G, of them kernel mixing {cost.mixing / 1e9:.3f} G",
            f"as thop counts {cost.thop / 1e9:.3f} G",
        ]
    )


if __name__ == "__main__":
    run_friendly(main)
