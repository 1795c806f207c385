"""Arguments of the guidance modules, refused in words if they cannot be."""

from __future__ import annotations

from collections.abc import Iterable


def check_positive(**values: int) -> None:
    """Raise ValueError that names the first value below 1."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}.")


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise ValueError that lists `allowed` unless `value` is among them."""
    options = list(allowed)
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, not {value!r}.")


def check_hidden_width(dim: int, mlp_ratio: float) -> int:
    """Return int(dim * mlp_ratio), the width of an MLP's hidden layer; raise ValueError if none is left."""
    hidden = int(dim * mlp_ratio)
    if hidden < 1:
        raise ValueError(f"mlp_ratio must be at least 1 / dim = {1 / dim:.3g}, not {mlp_ratio}.")
    return hidden
