"""How a run was trained, as its config.yaml says: what tells recipes and networks apart, and what is not as shipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from magicseg.assembly.compose import compose_config
from magicseg.files import digest
from magicseg.reports.paper_tables import YAML_LOADER
from magicseg.runs import RunFolder

if TYPE_CHECKING:
    from magicseg.reports.results import Result

LENGTH = 8
"""Hexadecimal digits of a hash, as of a variant."""


class Training(NamedTuple):
    """Hashes of what a run was trained with.

    ``recipe`` is that of recipe and precision, ``network`` of the backbone's settings. ``experiment`` is of all that
    changes the numbers but seed and split, so that the folds of one experiment share it.
    """

    recipe: str
    network: str
    experiment: str


def read_training(config: Path) -> Training:
    """Return what a run's ``config.yaml`` says of its training.

    Raises:
        ValueError: the file is missing or does not tell it.
    """
    try:
        content = yaml.load(config.read_text("utf-8"), YAML_LOADER)
        settings = {group: dict(content[group]) for group in ("dataset", "backbone", "conv", "recipe")}
        settings["precision"] = content["trainer"]["precision"]
        for key in ("split", "root", "paper_protocol"):
            settings["dataset"].pop(key)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its {config.name} must tell how it was trained ({error!r})") from error
    return Training(
        recipe=digest([settings["recipe"], settings["precision"]], LENGTH),
        network=digest(settings["backbone"], LENGTH),
        experiment=digest(settings, LENGTH),
    )


def not_as_shipped(run: Result) -> str:
    """Return in words what of a run's recipe, precision and network is not as shipped for its budget; empty if all is.

    What the shipped configuration has and the run's has not is not told: an older version did not have it. Nothing is
    told of demonstrations, which claim nothing.
    """
    if run.budget == "demo":
        return ""
    content = yaml.load(RunFolder(run.path.parent).config.read_text("utf-8"), YAML_LOADER)
    shipped = _shipped(run.key.dataset, run.key.backbone, run.budget, json.dumps(content["recipe"]))
    if shipped is None:
        return f"a configuration that is not shipped ({run.key.dataset}, {run.key.backbone})"
    own = _settings(content)
    differing = [name for name in own if name not in shipped or own[name] != shipped[name]]
    return ", ".join(f"{name}={_text(own[name])} ({_origin(name, shipped)})" for name in differing)


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return key -> value of recipe, network and precision, e.g. recipe.epochs -> 200."""
    groups = {"recipe": content["recipe"], "backbone": content["backbone"]}
    return {**dict(_leaves(groups)), "trainer.precision": content["trainer"]["precision"]}


def _leaves(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict):
        yield name, node
        return
    for key, value in node.items():
        yield from _leaves(value, f"{name}.{key}" if name else key)


@cache
def _shipped(dataset: str, backbone: str, budget: str, recipe: str) -> dict[str, Any] | None:
    """Return the shipped settings; None where data set or backbone are a user's own.

    ``recipe``, the run's own as JSON, stands in where a network depends on it (TransUNet on the size of the images).
    """
    from hydra.errors import HydraException  # slow to import, and most uses need none
    from omegaconf import OmegaConf

    try:
        config = compose_config([f"dataset={dataset}", f"backbone={backbone}", f"budget={budget}"])
    except HydraException:
        return None
    shipped: Any = OmegaConf.to_container(config.recipe, resolve=True)
    config.recipe = {**shipped, **json.loads(recipe)}
    groups = {"recipe": shipped, "backbone": OmegaConf.to_container(config.backbone, resolve=True)}
    return _settings({**groups, "trainer": config.trainer})


def _origin(name: str, shipped: Mapping[str, Any]) -> str:
    return f"shipped: {_text(shipped[name])}" if name in shipped else "not shipped"


def _text(value: Any) -> str:
    return json.dumps(value).strip('"')
