"""Which records stand against which, and why some cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metabench.benchmarks.model import Benchmark
from metabench.records.schema import Record
from metabench.registry import natural_order

_LARGEST = 1e100  # the squares of larger ones are not finite; NaN is not smaller

Groups = dict[tuple[str, str], dict[str, list[Record]]]


@dataclass(frozen=True)
class Pair:
    """The records of one algorithm on one benchmark, one for each seed; a side may have none.

    Args:
        base: what it is compared with.
        new: what is compared.
    """

    base: list[Record]
    new: list[Record]


def pair(base: Iterable[Record], new: Iterable[Record]) -> tuple[list[Pair], list[str]]:
    """Pair the records of two folders by algorithm (with what was chosen by hand) and benchmark.

    Quick records stand against quick ones and no others, and each version of a benchmark against itself. What
    is on both sides in different versions only becomes a pair too: one that cannot be compared.

    Returns:
        The pairs, and what was left out in words.
    """
    left_out: list[str] = []
    sides: list[Groups] = []
    for name, records in (("base", list(base)), ("new", list(new))):
        groups, replaced = _newest(records)
        if replaced:
            left_out.append(
                f"{replaced} {name} record(s) that later ones of the same algorithm replace"
            )
        sides.append(groups)
    pairs: list[Pair] = []
    for place in sorted(
        sides[0].keys() | sides[1].keys(), key=lambda p: tuple(map(natural_order, p))
    ):
        before, after = sides[0].get(place, {}), sides[1].get(place, {})
        pairs += [Pair(before[title], after[title]) for title in before if title in after]
        gone = [records for title, records in before.items() if title not in after]
        come = [records for title, records in after.items() if title not in before]
        if gone and come:
            pairs.append(Pair(gone.pop(), come.pop()))
        pairs += [Pair(records, []) for records in gone]
        pairs += [Pair([], records) for records in come]
    return pairs, left_out


def _newest(records: Sequence[Record]) -> tuple[Groups, int]:
    """The newest record of each cell by place and title, and how many others there are.

    An attempt that was interrupted says nothing and replaces nothing. The seeds must be seeds of one thing:
    those that ran with another version or other hyper-parameters than the newest are left out.
    """
    groups: Groups = {}
    in_order = sorted(
        records, key=lambda r: (r.status != "interrupted", r.finished, r.status == "ok")
    )
    for record in in_order:
        place = (record.benchmark.name, record.algorithm.label)
        groups.setdefault(place, {}).setdefault(record.benchmark.title, []).append(record)
    kept = 0
    for by_title in groups.values():
        for title, group in by_title.items():
            well = [r for r in group if r.status == "ok"]
            same = [r for r in group if r.status != "ok" or _made_of(r) == _made_of(well[-1])]
            by_seed = {record.seed: record for record in same}
            by_title[title] = [by_seed[seed] for seed in sorted(by_seed)]
            kept += len(by_seed)
    return groups, len(records) - kept


def _made_of(record: Record) -> tuple[object, ...]:
    algorithm = record.algorithm
    return (
        algorithm.distribution,
        algorithm.version,
        algorithm.hyperparameters,
        record.data_digest,
    )


def obstacle(base: Sequence[Record], new: Sequence[Record]) -> str:
    """Why the scores of some records cannot be compared, in words; empty where they can.

    Args:
        base: records that are ok, at least one.
        new: the same.
    """
    first = base[0]
    for record in [*base, *new]:
        if change := definition_change(first.benchmark, record.benchmark):
            return change
    for record in [*base, *new]:
        if record.episode_digest != first.episode_digest:
            return f"tested on other episodes: {first.episode_digest[:12]} and {record.episode_digest[:12]}"
    name = first.benchmark.metrics[0]
    for record in [*base, *new]:
        was, now = first.metrics.get(name), record.metrics.get(name)
        if was is None or now is None:
            return f"a record holds no {name}"
        if (was.version, was.direction, was.unit) != (now.version, now.direction, now.unit):
            return f"{name} was version {was.version} and is {now.version}"
        if not now.episodes or len(now.episodes) != len(was.episodes):
            return f"{name} of {len(was.episodes)} episodes and of {len(now.episodes)}"
        if not all(abs(score) < _LARGEST for score in now.episodes):
            return f"{name} of an episode is not a number that can be reckoned with"
    return ""


def definition_change(was: Benchmark, now: Benchmark) -> str:
    """How what a benchmark's score depends on differs, in words; empty where it does not."""
    was, now = was.scored, now.scored
    if was == now:
        return ""
    if was.quick != now.quick:
        return f"a {'--quick' if was.quick else 'full'} record and a {'--quick' if now.quick else 'full'} one"
    old, fresh = was.model_dump(), now.model_dump()
    changed = [
        f"{name} was {old[name]} and is {fresh[name]}" for name in old if old[name] != fresh[name]
    ]
    return f"another benchmark: {'; '.join(changed)}"


def changes(base: Record, new: Record) -> str:
    """What else is different of an algorithm that ran twice, in words."""
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
        found.append("the training data are others")
    return "; ".join(found)
