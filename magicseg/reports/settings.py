"""What a measured number depends on besides its seed, and which of these things differ within a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from magicseg.files import digest
from magicseg.metrics import Protocol
from magicseg.reports.paper_tables import RunKey
from magicseg.reports.results import Result

LETTERS = "abcdefghijklmnoprstuvwxyz"  # no q: it has no superscript


class Setting(NamedTuple):
    """Everything but the seed that a number depends on, in the short form that is shown and chosen by."""

    budget: str
    data: str
    split: str
    code: str
    protocol: str
    checkpoint: str
    recipe: str
    network: str
    variant: str

    @property
    def test(self) -> tuple[str, ...]:
        """What two numbers must share to be compared with each other: the test and the recipe of the training."""
        return self.budget, self.data, self.split, self.protocol, self.recipe


@dataclass(frozen=True)
class Group:
    """Runs that are alike in all but the seed: what stands behind a measured cell.

    The folds of one seed together are one experiment. ``mark`` is the letter that tells settings apart, if they differ.
    """

    key: RunKey
    setting: Setting
    runs: tuple[Result, ...]
    mark: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds in ascending order."""
        return tuple(sorted({run.seed for run in self.runs}))

    def __str__(self) -> str:
        return f"{self.key} [{self.mark}]" if self.mark else str(self.key)


Groups = Mapping[RunKey, Sequence[Group]]


def setting(result: Result, protocol: str) -> Setting:
    """Return what the scores of a run under ``protocol`` depend on."""
    scores = result.under(protocol)
    return Setting(
        budget=result.budget,
        data=result.manifest[:10],
        split=result.split if result.fold is None else "folds",
        code=result.code,
        protocol=_rules(scores.protocol, scores.unit),
        checkpoint=result.checkpoint,
        recipe=result.recipe,
        network=result.network,
        variant=result.variant,
    )


@lru_cache(maxsize=256)
def _rules(protocol: Protocol, unit: str) -> str:
    """Return a protocol's name and a hash of all its rules, since a name alone does not say them."""
    return f"{protocol.name}-{digest([asdict(protocol), unit], 8)}"


def mixtures(groups: Groups) -> dict[str, dict[str, list[Group]]]:
    """Return the fields of Setting that differ where they must not, with the groups of each value.

    Rows share code and budget, rows of one data set also its preparation, its split, protocol, checkpoint rule and
    recipe, those of one backbone its settings too. A row has one variant; other rows have others because they are other
    rows, and so has a row with other recipes or networks.
    """
    everything = [group for row in groups.values() for group in row]
    found: dict[str, dict[str, list[Group]]] = {}
    for name in Setting._fields:
        values: dict[Hashable, set[str]] = defaultdict(set)
        for group in everything:
            values[_place(name, group)].add(getattr(group.setting, name))
        differing: dict[str, list[Group]] = defaultdict(list)
        for group in everything:
            if len(values[_place(name, group)]) > 1:
                differing[getattr(group.setting, name)].append(group)
        if differing:
            found[name] = dict(differing)
    return found


def _place(name: str, group: Group) -> Hashable:
    """Return the scope of a field, in which what other fields explain is no difference of its own."""
    explained = (group.setting.recipe, group.setting.network) if name == "variant" else ()
    return scope(name, group.key), explained


def scope(name: str, key: RunKey) -> Hashable:
    """Return within what a field must not differ: the row, the backbone's rows, the data set or the table."""
    if name == "variant":
        return key
    if name == "network":
        return key.dataset, key.backbone
    return None if name in ("budget", "code") else key.dataset


def marked(groups: Groups) -> tuple[dict[RunKey, list[Group]], dict[str, str]]:
    """Return the groups with a letter for each setting, and letter -> what it stands for; none without mixture."""
    mixed = mixtures(groups)
    letters: dict[str, str] = {}

    def mark(group: Group) -> Group:
        meaning = _differing(group, mixed)
        return replace(group, mark=letters.setdefault(meaning, _letter(len(letters)))) if meaning else group

    rows = {key: [mark(group) for group in row] for key, row in groups.items()}
    return rows, {letter: meaning for meaning, letter in letters.items()}


def _differing(group: Group, mixed: Mapping[str, Mapping[str, Sequence[Group]]]) -> str:
    """Return the values of the fields that differ where the group is: in its row, its data set, the table."""
    names = [name for name, values in mixed.items() if group in values.get(getattr(group.setting, name), ())]
    return ", ".join(f"{name} {getattr(group.setting, name)}" for name in names)


def _letter(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    more, last = divmod(number, len(LETTERS))
    return (_letter(more - 1) if more else "") + LETTERS[last]
