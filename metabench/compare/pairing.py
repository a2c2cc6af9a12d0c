"""Pair the records of two folders, and explain which pairs are not comparable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metabench.records.comparability import explain_conflict
from metabench.records.schema import Record
from metabench.records.selection import RecordSelection
from metabench.registry import natural_order
from metabench.utils.finite import number

# Records by benchmark name and algorithm label, and below that by benchmark title.
_Groups = dict[tuple[str, str], dict[str, list[Record]]]


@dataclass(frozen=True)
class Pair:
    """The records of one algorithm on one benchmark, one for each seed; a side may be empty.

    Attributes:
        base: The records to compare with.
        new: The records to compare.
    """

    base: list[Record]
    new: list[Record]


def pair(base: Iterable[Record], new: Iterable[Record]) -> tuple[list[Pair], list[str]]:
    """Pair the records of two folders by algorithm label and benchmark title.

    Each version of a benchmark is compared with itself, and ``--quick`` records with ``--quick``
    records. Two sides that share no version become a pair too, which is not comparable.

    Returns:
        The pairs, and what was left out in words.
    """
    left_out: list[str] = []
    sides: list[_Groups] = []
    for name, records in (("base", base), ("new", new)):
        selection = RecordSelection(list(records)).latest(prefer_ok=False)
        left_out += [f"{name}: {message}" for message in selection.messages]
        sides.append(_groups(selection))
    pairs: list[Pair] = []
    for place in sorted(
        sides[0].keys() | sides[1].keys(), key=lambda p: tuple(map(natural_order, p))
    ):
        before, after = sides[0].get(place, {}), sides[1].get(place, {})
        pairs += [Pair(before[title], after[title]) for title in before if title in after]
        removed = [records for title, records in before.items() if title not in after]
        added = [records for title, records in after.items() if title not in before]
        pairs += _pair_salted(before, after, removed, added)
        # A new version of a benchmark is one change, not a cell that is gone and one that is new.
        if removed and added:
            pairs.append(Pair(removed.pop(), added.pop()))
        pairs += [Pair(records, []) for records in removed]
        pairs += [Pair([], records) for records in added]
    return pairs, left_out


def _pair_salted(
    before: dict[str, list[Record]],
    after: dict[str, list[Record]],
    removed: list[list[Record]],
    added: list[list[Record]],
) -> list[Pair]:
    """Pair salted records with the public ones of the other side, and take them from the lists."""
    # Of the new side all, so that the two kinds of records of one folder can be compared.
    pairs = [
        Pair(public, salted)
        for salted in after.values()
        if salted[0].benchmark.episodes_salt
        and (public := before.get(salted[0].benchmark.public.title))
    ]
    pairs += [
        Pair(salted, public)
        for salted in removed
        if salted[0].benchmark.episodes_salt
        and (public := after.get(salted[0].benchmark.public.title))
    ]
    for one in pairs:
        removed[:] = [records for records in removed if records is not one.base]
        added[:] = [records for records in added if records is not one.new]
    return pairs


def _groups(selection: RecordSelection) -> _Groups:
    groups: _Groups = {}
    for (title, label), records in sorted(
        selection.by_algorithm().items(), key=lambda one: natural_order(one[0][0])
    ):
        groups.setdefault((records[0].benchmark.name, label), {})[title] = records
    return groups


def obstacle(base: Sequence[Record], new: Sequence[Record]) -> str:
    """Returns why the scores of some records are not comparable; empty if they are.

    Args:
        base: Records that are ok, at least one.
        new: The same for the other side.
    """
    first = base[0]
    for record in [*base, *new]:
        if conflict := explain_conflict(first, record):
            return conflict
    for record in [*base, *new]:
        for score in record.metrics[record.metric].episodes:
            if number(score) is None:
                return f"invalid {record.metric} of an episode: {score:g}"
    return ""


def changes(base: Record, new: Record) -> str:
    """Returns what else changed between two runs of an algorithm: version, settings, data."""
    found = []
    if base.algorithm.version != new.algorithm.version:
        found.append(f"version was {base.algorithm.version} and is {new.algorithm.version}")
    was, now = base.algorithm.hyperparameters, new.algorithm.hyperparameters
    found += [
        f"{name} was {was.get(name)} and is {now.get(name)}"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]
    if base.data_digest != new.data_digest:
        found.append("the training data changed")
    return "; ".join(found)
