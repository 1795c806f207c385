"""Under which protocols a run is scored."""

from __future__ import annotations

from dataclasses import fields, replace

from omegaconf import DictConfig, OmegaConf

from magicseg.assembly.build import count_logits, preprocessing
from magicseg.assembly.compose import config_folder
from magicseg.errors import UserError
from magicseg.metrics import Protocol

NEAREST = {"spline": "scipy.ndimage.zoom, order 0", "bilinear": "the nearest pixel centre"}
"""How each method of ``recipe.resize`` brings label maps to another size."""


def protocols_of(config: DictConfig) -> dict[str, Protocol]:
    """Return role -> protocol: the data set's own ("paper"), "strict", and by its name the chosen one if it is neither.

    "strict" is always as configs/protocol has it. Another protocol that differs from the one of its name there is named
    NAME-changed. ``threshold`` and ``resampling`` say what the run's recipe does, not what a protocol's source does.

    Raises:
        UserError: a protocol's field is unknown, missing or none of its legal values, or its name is a role.
    """
    try:
        roles = {"paper": _named(config.dataset.paper_protocol, config), "strict": _stock("strict", config)}
        chosen = _named(config.protocol, config)
    except (TypeError, ValueError) as error:
        raise UserError(f"protocol: {error}") from error
    if chosen in roles.values():
        return roles
    if chosen.name in roles:
        raise UserError(
            f"protocol.name is {chosen.name!r}, under which every run is scored anyway. "
            f"Allowed is any but: {', '.join(roles)}."
        )
    return {**roles, chosen.name: chosen}


def _named(node: DictConfig, config: DictConfig) -> Protocol:
    """Return the protocol that ``node`` describes; where it is not what its name promises, name and source say so."""
    protocol = _as_done(node, config)
    names = {file.stem for file in (config_folder() / "protocol").glob("*.yaml")} - {"paper"}  # that one only refers
    stock = _stock(protocol.name, config) if protocol.name in names else protocol
    changed = [each.name for each in fields(Protocol) if getattr(protocol, each.name) != getattr(stock, each.name)]
    if not changed:
        return protocol
    source = f"{stock.source}, changed in {', '.join(changed)}"
    return replace(protocol, name=f"{protocol.name}-changed", source=source)


def _stock(name: str, config: DictConfig) -> Protocol:
    """Return a protocol as configs/protocol has it, for the run's recipe."""
    file = config_folder() / "protocol" / f"{name}.yaml"
    tree = OmegaConf.create({"recipe": {"selection": config.recipe.selection}, "protocol": OmegaConf.load(file)})
    return _as_done(tree.protocol, config)


def _as_done(node: DictConfig, config: DictConfig) -> Protocol:
    """Return a protocol with how the run comes from logits to labels, and to the grid on which they are scored."""
    protocol = Protocol(**{str(field): value for field, value in node.items()})
    nearest = NEAREST[preprocessing(config.recipe).resize]
    back = " and back to the network's" if protocol.grid == "network" else ""
    return replace(
        protocol,
        threshold="probability above 0.5" if count_logits(config) == 1 else "class of the largest logit",
        resampling=f"label map to the original grid{back} by {nearest}",
    )
