"""Which slice of which case a figure shows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from magicseg.errors import UserError


class Slice(NamedTuple):
    """A slice asked for: the case's name, and the number of the slice from 0, None for the largest."""

    case: str
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> Slice:
        """Read ``CASE`` or ``CASE:NUMBER``, counted from 1; UserError for a number that is none."""
        name, colon, number = text.strip().partition(":")
        if colon and (not number.isdecimal() or int(number) < 1):
            raise UserError(f"{text!r} does not name a slice. Write CASE, or CASE:NUMBER with numbers from 1.")
        return cls(name, int(number) - 1 if colon else None)

    def position(self, sizes: NDArray[Any]) -> int:
        """Return the slice asked for, or else the first of the largest by ``sizes`` [D].

        Raises:
            UserError: the case has no such slice.
        """
        if self.number is not None and self.number >= len(sizes):
            raise UserError(f"{self.case} has the slices 1 to {len(sizes)}; {self.number + 1} is none of them.")
        return int(np.argmax(sizes)) if self.number is None else self.number

    def caption(self, position: int, depth: int) -> str:
        """Return the name of the case, with the slice where it has several."""
        return f"{self.case}, slice {position + 1} of {depth}" if depth > 1 else self.case
