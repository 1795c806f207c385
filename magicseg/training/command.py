"""The command line: compose the configuration, run it, and turn mistakes into one clear paragraph."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from magicseg.arguments import paragraph, run_friendly
from magicseg.assembly.compose import config_folder
from magicseg.errors import UserError, nearest


@hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")
def _run(config: DictConfig) -> None:
    try:
        if config.dry_run:
            from magicseg.training.sweep import checked, dry_run, sweep_run

            dry_run(checked([sweep_run([], config)]))
            return
        from magicseg.training import run  # PyTorch is imported only once the configuration is sound

        run.run(config, HydraConfig.get().overrides.task)
    except UserError as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:  # another launcher than magicseg's own
            raise
        print(paragraph(error), file=sys.stderr)  # without what Hydra would print about it
        _failed.append(error)


_failed: list[UserError] = []

PLUGINS = {
    "submitit_slurm": '"magicseg[slurm]"',
    "submitit_local": '"magicseg[slurm]"',
    "joblib": "hydra-joblib-launcher",
}
"""Launchers that are packages of their own, and how to get them."""


def main() -> None:
    """Entry of ``python train.py`` and of the console script ``magicseg``."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let exceptions through to the translation below
    run_friendly(lambda _: _translated())


def _translated() -> None:
    try:
        _run()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from error
    except ValueError as error:
        if not str(error).startswith("Config group override must be"):  # Hydra's words for a group set to null
            raise
        unknown = [f"Unknown {group} {name!r}. {nearest(name, _options(group))}" for group, name in _unknown_options()]
        raise UserError(" ".join(unknown) or str(error)) from error
    if _failed:
        sys.exit(1)


def explain(error: Exception) -> str:
    """Return one paragraph for a configuration mistake, with the nearest legal names.

    Args:
        error: what Hydra or OmegaConf raised while composing.
    """
    text = " ".join(str(error).split())
    group = re.search(r"Could not (?:find|load) '([\w/]+)/([^'/]+)'", text)
    if group and group[2] in PLUGINS:
        return f"hydra/launcher={group[2]} needs a plugin of Hydra: pip install {PLUGINS[group[2]]}"
    if group:
        return f"Unknown {group[1]} {group[2]!r}. {nearest(group[2], _options(group[1]))}"
    override = re.search(r"Could not override '([^']+)'", text)
    if override:
        key = override[1].split("@")[0]
        parent, _, name = key.rpartition(".")
        siblings = _keys(error, parent)
        return f"Unknown key {key!r}. {nearest(name, siblings) if siblings else _without_keys(parent, key)}"
    return text.replace("See https://hydra.cc/docs/1.2/advanced/override_grammar/basic for details", "").strip()


def _without_keys(parent: str, key: str) -> str:
    """Return what helps where ``parent`` is a plain value, or a group that stands for another until one is named."""
    if _options(parent):
        return f"Choose {parent} by name to change it: {parent}=NAME {key}=VALUE (configs/{parent} holds the names)."
    return f"{parent} is a value, not a group of keys: {parent}=VALUE."


def _unknown_options() -> Iterator[tuple[str, str]]:
    """Yield (group, name) for each name on the command line that its group does not have."""
    for argument in sys.argv[1:]:
        group, _, names = argument.partition("=")
        if (config_folder() / group).is_dir():
            yield from ((group, name) for name in names.split(",") if name not in _options(group))


def _options(group: str) -> list[str]:
    return [file.stem for file in (config_folder() / group).glob("*.yaml")]


def _keys(error: Exception, parent: str) -> list[str]:
    """Return the legal keys beside an unknown one: those of the node it was looked up in, or groups and top keys."""
    while error is not None:
        node = getattr(error, "parent_node", None)
        if parent and isinstance(node, DictConfig):
            return [str(key) for key in node]
        error = error.__cause__  # type: ignore[assignment]
    top = OmegaConf.load(config_folder() / "config.yaml")
    groups = [folder.name for folder in config_folder().iterdir() if folder.is_dir() and folder.name != "hydra"]
    return groups + [str(key) for key in top if key not in ("defaults", "hydra")]
