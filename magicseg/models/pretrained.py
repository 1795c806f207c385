"""Weights trained on ImageNet for the encoders that the papers start from: timm's, or those of a file."""

from __future__ import annotations

from collections.abc import Callable

import timm
from timm.models import PretrainedCfg, load_state_dict, load_state_dict_from_hf
from torch import Tensor, nn

Weights = dict[str, Tensor]
SHOWN = 5  # names of a long list


def load_pretrained(
    encoder: nn.Module, timm_name: str, pretrained: bool | str, adapt: Callable[[Weights], Weights] | None = None
) -> None:
    """Give ``encoder`` the weights of timm's network ``timm_name``, whose classifier is left out.

    Load before convolutions are exchanged: those that stay static keep the weights.

    Args:
        encoder: named like timm's network.
        timm_name: such as "res2net50d".
        pretrained: False leaves the encoder alone; True takes timm's weights from the hub's cache or the network; a
            path those of a file, safetensors or PyTorch's.
        adapt: maps the weights found to those of an encoder that differs from timm's, e.g. drops blocks that it lacks.

    Raises:
        ValueError: timm knows no such weights or cannot get them (names the file to place), the file cannot be read,
            or the weights and the encoder do not have the same names and shapes.
    """
    if pretrained is False:
        return
    if pretrained is True:
        weights, source = _download(timm_name), f"timm's {timm_name}"
    elif isinstance(pretrained, str):
        weights, source = _read(pretrained), pretrained
    else:
        raise ValueError(f"pretrained must be true, false or the path of a file, found {pretrained!r}.")
    classifier = f"{_published(timm_name).classifier}."
    weights = {name: value for name, value in weights.items() if not name.startswith(classifier)}
    _fill(encoder, adapt(weights) if adapt else weights, source, timm_name)


def _published(timm_name: str) -> PretrainedCfg:
    facts = timm.get_pretrained_cfg(timm_name)
    if facts is None or not facts.hf_hub_id:
        raise ValueError(f"timm knows no pretrained weights {timm_name!r}.")
    return facts


def _download(timm_name: str) -> Weights:
    facts = _published(timm_name)
    try:
        return load_state_dict_from_hf(str(facts.hf_hub_id), weights_only=True)
    except Exception as error:  # what fails on the way to the network has no common type
        or_url = f" (or {facts.url})" if facts.url else ""
        raise ValueError(
            f"The pretrained weights {timm_name} are not in the hub's cache and cannot be downloaded "
            f"({type(error).__name__}). Get the file model.safetensors of https://huggingface.co/{facts.hf_hub_id}"
            f"{or_url} elsewhere, place it anywhere on this machine and set pretrained to its path; "
            "or train from scratch with pretrained=false."
        ) from error


def _read(path: str) -> Weights:
    try:
        weights = load_state_dict(path, use_ema=False, weights_only=True)  # timm 1.0.15 would run a file's code
    except FileNotFoundError as error:
        raise ValueError(f"pretrained={path}: there is no such file.") from error
    except Exception as error:  # torch and safetensors raise many kinds
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"pretrained={path} is not a file of weights, neither .safetensors nor PyTorch's: {reason}"
        ) from error
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"pretrained={path} holds more than weights; a state_dict (names and tensors) is expected.")
    return weights


def _fill(encoder: nn.Module, weights: Weights, source: str, timm_name: str) -> None:
    """Load ``weights``; refuse any difference of names or shapes before anything is changed."""
    own = encoder.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in weights if name not in own]
    shapes = [
        f"{name} {list(weights[name].shape)}, in the network {list(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    faults = [f"{kind}: {_short(names)}" for kind, names in kinds.items() if names]
    if faults:
        raise ValueError(f"The weights of {source} do not fit the encoder ({timm_name}). {'. '.join(faults)}.")
    encoder.load_state_dict(weights, strict=False)


def _short(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + rest
