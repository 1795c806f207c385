"""What of the finished runs a table is to show, as a user asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from magicseg.errors import UserError, choose
from magicseg.reports.results import BUDGETS, Result
from magicseg.reports.settings import Setting, setting

CHOICES = ("variant", "recipe", "network", "data", "split", "code")
"""What a user can choose by when runs differ."""
OWN_ROWS = ("backbone", "conv")
FORM = "Write own_rows=all, or e.g. own_rows='conv=dcd2,my_conv' or own_rows='backbone=unet conv=my_conv'."


@dataclass(frozen=True)
class Request:
    """What of the runs to show.

    Args:
        protocol: role (paper, strict) or name of a protocol that runs were scored under.
        budgets: full, cpu, demo.
        choices: wanted values by name (see ``CHOICES``). A variant chooses within the rows that have it, a network
            within the backbones, a recipe, data and split within the data sets that have them, code within the table.
        mix: fields of Setting that may differ between the runs of one table; they are then marked, never averaged.
        own_rows: backbones and convolutions to add below the paper's rows, e.g. ``{"conv": ["my_conv"]}``; ``{}``
            adds all there are, None adds none.

    Raises:
        UserError: an unknown name.
    """

    protocol: str = "paper"
    budgets: tuple[str, ...] = ("full",)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mix: frozenset[str] = frozenset()
    own_rows: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        for kind, names, allowed in (
            ("budget", self.budgets, BUDGETS),
            ("choice", self.choices, CHOICES),
            ("mix", self.mix, Setting._fields),
            ("filter of own_rows", self.own_rows or (), OWN_ROWS),
        ):
            for name in names:
                choose(kind, name, allowed)

    def check(self, results: Sequence[Result]) -> None:
        """Raise UserError for a name that no result has; nothing is checked where there are no results."""
        if not results:
            return
        choose("protocol", self.protocol, _protocols(results))
        settings = {setting(result, self.protocol) for result in results if result.role(self.protocol)}
        for name, values in self.choices.items():
            for value in values:
                choose(name, value, {getattr(each, name) for each in settings})
        for name, values in (self.own_rows or {}).items():
            for value in values:
                choose(name, value, {getattr(result.key, name) for result in results})


def parse_request(
    protocol: str = "paper", budget: str = "", mix: str = "", own_rows: str = "", **choices: str
) -> Request:
    """Return the request that command-line texts ask for; empty texts ask for nothing special.

    Args:
        protocol: role or name of a protocol.
        budget: full, cpu or demo; empty is full, or all of them if ``mix`` allows it.
        mix: true, or names of fields with commas.
        own_rows: all, or ``conv=a,b backbone=c``.
        choices: wanted values with commas.

    Raises:
        UserError: a text cannot be read, or has an unknown name.
    """
    may_differ = frozenset(Setting._fields if mix == "true" else _names(mix) if mix != "false" else ())
    budgets = (budget,) if budget else BUDGETS if "budget" in may_differ else ("full",)
    wanted = {name: _names(values) for name, values in choices.items() if values}
    return Request(protocol, budgets, wanted, may_differ, _own_rows(own_rows))


def _names(text: str) -> list[str]:
    return text.split(",") if text else []


def _own_rows(text: str) -> dict[str, list[str]] | None:
    if not text:
        return None
    wanted: dict[str, list[str]] = {}
    for term in text.split() if text != "all" else ():
        name, _, names = term.partition("=")
        if not names or name in wanted:
            raise UserError(f"own_rows={text!r} cannot be read at {term!r}. {FORM}")
        wanted[name] = _names(names)
    return wanted


def _protocols(results: Sequence[Result]) -> set[str]:
    roles = {role for result in results for role in result.scores}
    return roles | {scores.protocol.name for result in results for scores in result.scores.values()}
