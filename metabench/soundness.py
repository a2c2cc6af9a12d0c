"""Which records can be ranked beside each other, and why others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from metabench.errors import ResultsError
from metabench.finite import number
from metabench.results import Record

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

    One record of other episodes, or of a metric that counts otherwise, must not keep the others from being
    ranked, and must not be ranked among them.

    Args:
        records: of any benchmarks; those without a score agree with all.

    Raises:
        ResultsError: no more than half of a benchmark's records agree, so that nobody knows which are right.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "ok":
            groups.setdefault(record.benchmark.title, []).append(record)
    wrong: dict[int, str] = {}
    for group in groups.values():
        counts = Counter(map(_measured_by, group))
        usual, times = counts.most_common(1)[0]
        others = [record for record in group if _measured_by(record) != usual]
        if others and 2 * times <= len(group):
            raise _undecided(group)
        wrong |= {id(record): _odd(record, usual[0]) for record in others}
    return [record for record in records if id(record) not in wrong], list(wrong.values())


def sound(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """The records that a page can show together, and for each other one its name with the reason.

    As :func:`possible`; and in each benchmark the records of other episodes or of another definition than
    most are left out. Unlike :func:`of_most` it always decides: a page shows the rest all the same.

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
        for record in group:
            if _definition(record) != usual:
                left_out.append(
                    f"{record.file_name}: its benchmark is defined otherwise than in most records"
                )
            elif record.status == "ok" and _measured_by(record) != measured:
                left_out.append(_odd(record, measured[0] if measured else ""))
            else:
                kept.append(record)
    return kept, left_out


def _impossible(record: Record) -> str:
    """Why the scores of a record cannot be; empty where they can."""
    for name, metric in record.metrics.items():
        share = metric.unit == SHARE or name == "accuracy"
        for score in metric.episodes:
            if (share and not 0 <= score <= 1) or number(score) is None:
                return f"its {name} of an episode is {score:g}"
    return ""


def _measured_by(record: Record) -> tuple[str, ...]:
    """What the scores of two records must agree in: the episodes, and what the metric counts."""
    metric = record.metrics[record.benchmark.metrics[0]]
    return record.episode_digest, metric.version, metric.direction, metric.unit


def _odd(record: Record, digest: str) -> str:
    """How a record was tested otherwise than most, whose episodes have this digest."""
    what = (
        "on other episodes"
        if record.episode_digest != digest
        else f"by another {record.benchmark.metrics[0]}"
    )
    return f"{record.file_name}: it was tested {what} than most"


def _undecided(group: Sequence[Record]) -> ResultsError:
    """The error for records of which no majority agrees."""
    first = group[0]
    other = next(r for r in group if _measured_by(r) != _measured_by(first))
    name = first.benchmark.name
    both = f"'{first.algorithm.label}' and '{other.algorithm.label}'"
    if first.episode_digest != other.episode_digest:
        digests = f"{first.episode_digest[:12]} and {other.episode_digest[:12]}"
        return ResultsError(
            f"{both} were tested on other episodes of '{name}': {digests}.",
            hint="The data differ: `metabench data verify` looks at them.",
        )
    metric = first.benchmark.metrics[0]
    counts = " and ".join(" ".join(_measured_by(r)[1:]) for r in (first, other))
    return ResultsError(
        f"{both} were scored by another {metric} on '{name}': {counts}.",
        hint="Their scores cannot be compared: keep the results of one of them in another folder.",
    )


def _definition(record: Record) -> str:
    """What two records of a benchmark must agree in; what they measure beside the score may differ."""
    return record.benchmark.scored.model_dump_json()


def _most_common(values: Iterable[_T]) -> _T | None:
    """The most frequent; of equally frequent ones the first in order, for a page that is always the same."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value))) if counts else None
