"""Which records can be ranked beside each other, and why others cannot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from metabench.errors import ResultsError
from metabench.records.schema import Record
from metabench.utils.finite import number

_T = TypeVar("_T")

SHARE = "share"
"""The unit of a score between 0 and 1."""


def possible(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """The records whose scores can be, and for each other one its name with the reason.

    Args:
        records: the records.
    """
    left_out: list[str] = []
    kept: list[Record] = []
    for record in records:
        if reason := _impossible(record):
            left_out.append(f"{record.file_name}: {reason}")
        else:
            kept.append(record)
    return kept, left_out


def of_most(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The records that most others of their benchmark agree with, and each other one with the reason.

    One record of another definition of the benchmark, of other episodes, or of a metric that counts
    otherwise, must not keep the others from being ranked, and must not be ranked among them.

    Args:
        records: of any benchmarks.

    Raises:
        ResultsError: no more than half of a benchmark's records agree, so that nobody knows which are right.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.benchmark.title, []).append(record)
    wrong: dict[int, str] = {}
    for group in groups.values():
        _, others = _majority(group, _definition)
        wrong |= {id(record): _defined_otherwise(record) for record in others}
        well = [r for r in group if r.status == "ok" and id(r) not in wrong]
        usual, others = _majority(well, _measured_by)
        wrong |= {id(record): _odd(record, usual) for record in others}
    return [record for record in records if id(record) not in wrong], list(wrong.values())


def _majority(
    group: Sequence[Record], say: Callable[[Record], _T]
) -> tuple[_T | None, list[Record]]:
    """What more than half of some records say, and those that say something else."""
    if not group:
        return None, []
    usual, times = Counter(map(say, group)).most_common(1)[0]
    others = [record for record in group if say(record) != usual]
    if others and 2 * times <= len(group):
        raise _undecided(group[0], next(r for r in group if say(r) != say(group[0])))
    return usual, others


def sound(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """The records that a page can show together, and for each other one its name with the reason.

    As :func:`possible`; and in each benchmark the records of other episodes or of another definition than
    most are left out. A metric beside the score that was measured with other options than in most is left
    out of its record alone. Unlike :func:`of_most` it always decides: a page shows the rest all the same.

    Args:
        records: the records.
    """
    kept: list[Record] = []
    groups: dict[str, list[Record]] = {}
    shown, left_out = possible(records)
    for record in shown:
        groups.setdefault(record.benchmark.title, []).append(record)
    for group in groups.values():
        usual = _most_common(_definition(r) for r in group)
        same = [r for r in group if _definition(r) == usual]
        measured = _most_common(_measured_by(r) for r in same if r.status == "ok")
        options = _usual_options(same)
        for record in group:
            if _definition(record) != usual:
                left_out.append(_defined_otherwise(record))
            elif record.status == "ok" and _measured_by(record) != measured:
                left_out.append(_odd(record, measured))
            else:
                odd = [name for name in record.metrics if _options(record, name) != options[name]]
                left_out += [
                    f"{record.file_name}: its {name} was measured with other options than in most"
                    for name in odd
                ]
                rest = {name: metric for name, metric in record.metrics.items() if name not in odd}
                kept.append(record.model_copy(update={"metrics": rest}) if odd else record)
    return kept, left_out


def _impossible(record: Record) -> str:
    """Why the scores of a record cannot be; empty where they can.

    What another metric than the one that ranks calls a share may be one lost, and below 0.
    """
    for name, metric in record.metrics.items():
        share = name == record.benchmark.metrics[0] and (metric.unit == SHARE or name == "accuracy")
        for score in metric.episodes:
            if (share and not 0 <= score <= 1) or number(score) is None:
                return f"its {name} of an episode is {score:g}"
    return ""


def _measured_by(record: Record) -> tuple[str, ...]:
    """What the scores of two records must agree in: the episodes, and what the metric counts."""
    metric = record.metrics[record.benchmark.metrics[0]]
    return record.episode_digest, metric.version, metric.direction, metric.unit


def _defined_otherwise(record: Record) -> str:
    return f"{record.file_name}: its benchmark is defined otherwise than in most records"


def _odd(record: Record, usual: tuple[str, ...] | None) -> str:
    """How a record was tested otherwise than most."""
    same_episodes = usual is not None and record.episode_digest == usual[0]
    what = f"by another {record.benchmark.metrics[0]}" if same_episodes else "on other episodes"
    return f"{record.file_name}: it was tested {what} than most"


def _undecided(one: Record, other: Record) -> ResultsError:
    """The error for two records that disagree where no majority says which is right."""
    name = one.benchmark.name
    both = f"'{one.algorithm.label}' and '{other.algorithm.label}'"
    apart = "Their scores cannot be compared: keep the results of one of them in another folder."
    if _definition(one) != _definition(other):
        return ResultsError(f"{both} ran {one.benchmark.title} with other definitions.", hint=apart)
    if one.episode_digest != other.episode_digest:
        digests = f"{one.episode_digest[:12]} and {other.episode_digest[:12]}"
        return ResultsError(
            f"{both} were tested on other episodes of '{name}': {digests}.",
            hint="The data differ: `metabench data verify` looks at them.",
        )
    counts = " and ".join(" ".join(_measured_by(r)[1:]) for r in (one, other))
    return ResultsError(
        f"{both} were scored by another {one.benchmark.metrics[0]} on '{name}': {counts}.",
        hint=apart,
    )


def _definition(record: Record) -> str:
    """What two records of a benchmark must agree in; what they measure beside the score may differ."""
    return record.benchmark.scored.model_dump_json()


def _usual_options(records: Iterable[Record]) -> dict[str, str | None]:
    """The options that each metric was measured with in most records."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name in record.metrics:
            found.setdefault(name, []).append(_options(record, name))
    return {name: _most_common(options) for name, options in found.items()}


def _options(record: Record, metric: str) -> str:
    return json.dumps(record.benchmark.metric_options.get(metric, {}), sort_keys=True)


def _most_common(values: Iterable[_T]) -> _T | None:
    """The most frequent; of equally frequent ones the first in order, for a page that is always the same."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value))) if counts else None
