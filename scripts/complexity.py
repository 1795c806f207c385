"""Count and time a network: ``python scripts/complexity.py backbone=unet conv=magic_4x``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from magicseg.arguments import parse, run_friendly
from magicseg.assembly.build import build_model, count_logits, find_device, input_size
from magicseg.assembly.compose import compose_config
from magicseg.errors import UserError, choose
from magicseg.files import write_text
from magicseg.reports.complexity import Complexity, measure
from magicseg.reports.complexity_tables import Entry, Network, Section, compare_complexity, with_speed
from magicseg.reports.complexity_writers import describe, to_csv, to_markdown
from magicseg.reports.latency import Bench, Speed, measure_speed
from magicseg.training.command import explain
from magicseg.training.setup import check

OF_A_NETWORK = ("size", "channels", "classes")
OF_A_MEASUREMENT = ("batch", "repeats", "device", "threads")


@dataclass
class Options:
    """Count a network's parameters and multiply-adds for one image, or compare a paper's columns with such counts.

    backbone=..., conv=... and whatever else train.py takes choose the network.
    size: of the image in pixels: one number or [height,width].
    channels: of the image.
    classes: background included; 1 is a network with a single logit.
    table: magic_table5, magic_table6 or sgdc_table2 instead of a network: its rows as the paper counted them.
    measured: also measure latency (batch 1), throughput and peak memory of forward and of forward and backward.
    batch: images in a batch, for throughput.
    repeats: measurements of each network, which take turns; the median is printed.
    device: that measures: auto takes a GPU if there is one; or cpu, cuda, cuda:1.
    threads: of PyTorch on the CPU; 0 leaves its default.
    output: a CSV file for the same numbers, in full precision.
    """

    size: str = "256"
    channels: int = 3
    classes: int = 9
    table: str = ""
    measured: bool = False
    batch: int = 8
    repeats: int = 15
    device: str = "auto"
    threads: int = 0
    output: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Print the complexity of one network or of a table's, and their speed."""
    options, overrides = _parse(arguments)
    bench = _bench(options) if options.measured else None
    configure: Callable[[Network], DictConfig]
    if options.table:
        configure = _configuration_of
        sections = compare_complexity(options.table, lambda network: _count(configure(network)))
    else:
        config = _configure(overrides, options.channels, options.classes, options.size)
        sections, configure = [_section(config)], lambda _: config
    if bench is not None:
        sections = [with_speed(section, bench, partial(_time, configure, bench)) for section in sections]
    if options.output is not None:
        write_text(options.output, to_csv(sections))
    print(to_markdown(sections) if options.table else describe(sections[0]))


def _parse(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Return the script's own options and those for train.py's configuration; refuse what would have no effect."""
    own = [field.name for field in dataclasses.fields(Options)]
    overrides = [text for text in arguments if "=" in text and text.split("=", 1)[0] not in own]
    options = parse(Options, [text for text in arguments if text not in overrides])
    given = {text: text.split("=", 1)[0] for text in arguments}
    foreign = [text for text, name in given.items() if text in overrides or name in OF_A_NETWORK]
    if options.table and foreign:
        raise UserError(f"table={options.table} says what is counted; leave out {' '.join(foreign)}.")
    idle = [text for text, name in given.items() if name in OF_A_MEASUREMENT]
    if idle and not options.measured:
        raise UserError(f"{' '.join(idle)}: for measured=true alone.")
    return options, overrides


def _bench(options: Options) -> Bench:
    """Return what measures, with PyTorch's threads set."""
    for name, least in {"batch": 1, "repeats": 1, "threads": 0}.items():
        if getattr(options, name) < least:
            raise UserError(f"{name}={getattr(options, name)} must be at least {least}.")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the memory profiler would report every start and stop
    if options.threads:
        torch.set_num_threads(options.threads)
    device = find_device(options.device)
    choose("device", device.type, ("cpu", "cuda"))
    return Bench(device, options.batch, options.repeats)


def _section(config: DictConfig) -> Section:
    """Return the complexity of one network."""
    names = (config.backbone.name, config.conv.name)
    network = Network(*names, config.dataset.channels, count_logits(config), input_size(config.recipe))
    return Section("", "macs", [Entry(" with ".join(names), network, {}, _count(config))])


def _count(config: DictConfig) -> Complexity:
    return measure(partial(build_model, config, pretrained=False), config.dataset.channels, input_size(config.recipe))


def _time(
    configure: Callable[[Network], DictConfig], bench: Bench, networks: Mapping[str, Network]
) -> dict[str, Speed]:
    """Return the speed of networks that see the same images."""
    first = next(iter(networks.values()))
    builders = {
        label: partial(build_model, configure(network), pretrained=False) for label, network in networks.items()
    }
    try:
        return measure_speed(builders, (first.channels, *first.size), bench)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{bench.device} has no room for {len(networks)} networks and batches of {bench.batch}: {error} "
            "Choose a smaller batch, or measure the networks one by one."
        ) from error
    except ValueError as error:  # batch norm refuses a single value for each channel
        raise UserError(f"No training step with one image of {first.input}: {error} Choose a larger size.") from error


def _configuration_of(network: Network) -> DictConfig:
    overrides = [f"backbone={network.backbone}", f"conv={network.conv}"]
    return _configure(overrides, network.channels, network.classes, str(list(network.size)))


def _configure(overrides: list[str], channels: int, classes: int, size: str) -> DictConfig:
    """Return the configuration of a network for such images, whatever the data set."""
    for name, value in {"channels": channels, "classes": classes}.items():
        if value < 1:
            raise UserError(f"{name}={value} must be at least 1.")
    labels = list(range(1, classes))
    config = _compose([*overrides, f"dataset.channels={channels}", f"dataset.classes={labels}", f"recipe.size={size}"])
    check(config)
    return config


def _compose(overrides: list[str]) -> DictConfig:
    try:
        return compose_config(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from error


if __name__ == "__main__":
    run_friendly(main)
