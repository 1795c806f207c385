"""Which run folder a configuration stands for; free of PyTorch, so that a sweep can be listed at once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from magicseg.files import sha256
from magicseg.runs import RunFolder, run_folder


def find_folder(config: DictConfig) -> RunFolder:
    """Return the run folder of everything in ``config`` that changes the numbers."""
    settings: dict[str, Any] = OmegaConf.to_container(  # type: ignore[assignment]
        OmegaConf.masked_copy(config, ["dataset", "backbone", "conv", "recipe"]), resolve=True
    )
    for key in ("root", "paper_protocol"):  # where the data lie and how they are scored do not change the training
        settings["dataset"].pop(key)
    settings["dataset"].pop("intensity", None)  # follows from the content
    settings["dataset"].get("train", {}).pop("root", None)
    network = settings["backbone"]["network"]
    if "pretrained" in network:
        network["pretrained"] = _weights(network["pretrained"])
    settings["precision"] = config.trainer.precision
    names = (config.dataset.name, config.backbone.name, config.conv.name)
    return run_folder(Path(config.outputs), *names, settings, config.seed)


def _weights(pretrained: Any) -> Any:
    """Return what stands for pretrained weights wherever their file lies: its hash."""
    if isinstance(pretrained, dict):
        return {part: _weights(each) for part, each in pretrained.items()}
    is_file = isinstance(pretrained, str) and Path(pretrained).is_file()
    return _hash(Path(pretrained), Path(pretrained).stat().st_mtime_ns) if is_file else pretrained


@cache
def _hash(file: Path, changed: int) -> str:
    """Return the hash of a file as it was ``changed`` last; the runs of a sweep share it."""
    return sha256(file)
