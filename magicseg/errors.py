"""The one exception for a user's mistake, and the words that help to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """A mistake that the user can mend: shown as one paragraph without a traceback, exit code 1.

    The text names the file or key, what was found there and what is allowed.
    """


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a hint such as ``"Did you mean magic_4x? Allowed: magic_1x, magic_2x, magic_4x."``."""
    options = sorted(allowed)
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}Allowed: {', '.join(options)}."


def choose(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return ``name`` if it is among ``allowed``; raise UserError with the nearest names otherwise."""
    options = list(allowed)
    if name not in options:
        raise UserError(f"Unknown {kind} {name!r}. {nearest(str(name), options)}")
    return name


def shortened(names: Sequence[str], most: int = 12) -> str:
    """Return the names in a row, no more than ``most`` of them, as in ``a, b and 7 more``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
