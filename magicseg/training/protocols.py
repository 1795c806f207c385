"""Under which protocols a run is scored."""

from __future__ import annotations

from dataclasses import replace

from omegaconf import DictConfig

from magicseg.assembly.build import count_logits, preprocessing
from magicseg.errors import UserError
from magicseg.metrics import Protocol

NEAREST = {"spline": "scipy.ndimage.zoom, order 0", "bilinear": "the nearest pixel centre"}
"""How each method of ``recipe.resize`` brings label maps to another size."""


def protocols_of(config: DictConfig) -> dict[str, Protocol]:
    """Return role -> protocol: the data set's own ("paper"), "strict", and the chosen one if it is neither.

    Their ``threshold`` and ``resampling`` say what the run's recipe does, not what a protocol's source does.

    Raises:
        UserError: a protocol's field is unknown, missing or none of its legal values.
    """
    roles = {"paper": config.dataset.paper_protocol, "strict": config.strict}
    if config.protocol not in roles.values():
        roles[config.protocol.name] = config.protocol
    try:
        return {role: _as_done(Protocol(**dict(node)), config) for role, node in roles.items()}
    except (TypeError, ValueError) as error:
        raise UserError(f"protocol: {error}") from error


def _as_done(protocol: Protocol, config: DictConfig) -> Protocol:
    """Return the protocol with how the run comes from logits to labels, and to the grid on which they are scored."""
    nearest = NEAREST[preprocessing(config.recipe).resize]
    back = " and back to the network's" if protocol.grid == "network" else ""
    return replace(
        protocol,
        threshold="probability above 0.5" if count_logits(config) == 1 else "class of the largest logit",
        resampling=f"label map to the original grid{back} by {nearest}",
    )
