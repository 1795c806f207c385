"""A finished run's kept predictions, scored again under other protocols: mode=evaluate, which needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from magicseg.assembly.trained import load_config
from magicseg.errors import UserError
from magicseg.files import read_json
from magicseg.metrics import Protocol
from magicseg.runs import GO_ON, RunFolder
from magicseg.training.data import RunData, open_data
from magicseg.training.protocols import protocols_of
from magicseg.training.results import write_scores


def evaluate_again(config: DictConfig, overrides: Sequence[str] = ()) -> RunFolder:
    """Score the kept predictions of the run ``config.run`` again, without the network.

    Protocols that it was scored under before stay, beside the one that is asked for now.

    The run's own configuration holds, but for ``protocol`` and ``trainer``, which come from the command line, and for
    ``dataset.root`` if ``overrides`` have it.

    Raises:
        UserError: no finished run, not to be trusted, without its data, or a protocol that does not fit.
    """
    if config.run is None:
        raise UserError("mode=evaluate needs the folder of a finished run: run=DIR.")
    folder = RunFolder(Path(config.run))
    if not folder.finished():
        raise UserError(f"{folder.path} is not the folder of a finished run: no summary.json with status finished.")
    own = load_config(folder, config.trust)
    for key in ("dataset.root", "dataset.train.root"):
        said = any(override.lstrip("+").startswith(f"{key}=") for override in overrides)
        if said and OmegaConf.select(own, key) is not None:
            OmegaConf.update(own, key, OmegaConf.select(config, key))
    config.dataset = own.dataset  # protocol=paper now means this data set's
    own.protocol, own.trainer = config.protocol, config.trainer
    with folder.lock():
        former = former_scores(folder)
        data = _data_of(own, folder, former.manifest)
        write_scores(own, folder, data.test, {**former.protocols, **protocols_of(own)}, former.facts)
    return folder


class FormerScores(NamedTuple):
    """What a finished run's summary says: all but the scores, its data's digest, role -> protocol of the scores."""

    facts: dict[str, Any]
    manifest: str
    protocols: dict[str, Protocol]


def former_scores(folder: RunFolder) -> FormerScores:
    """Read the summary of a finished run; UserError if it is none."""
    summary = read_json(folder.summary)
    try:
        facts = {key: summary[key] for key in ("checkpoint", "data", "parameters", "seconds")}
        protocols = {role: Protocol(**scores["protocol"]) for role, scores in summary["scores"].items()}
        return FormerScores(facts, facts["data"]["manifest"], protocols)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        found = f"{type(error).__name__}: {error}"
        raise UserError(f"{folder.summary} is not the summary of a run ({found}). {GO_ON}") from error


def _data_of(config: DictConfig, folder: RunFolder, manifest: str) -> RunData:
    """Return the data that a finished run was trained on."""
    advice = "If the data of this run lie elsewhere now, add dataset.root=DIR."
    try:
        data = open_data(config)
    except UserError as error:
        raise UserError(f"{advice} {error}") from error
    if data.facts["manifest"] != manifest:
        raise UserError(f"The data in {config.dataset.root} are not those that {folder.path} was trained on. {advice}")
    return data
