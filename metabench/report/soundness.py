"""Which records can be shown beside each other, and why others cannot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from metabench.report.values import LARGEST
from metabench.results import Record

SHARE = "share"
"""The unit of a score between 0 and 1."""


def sound(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """The records that can be shown, and for each other one its name with the reason.

    A score that cannot be is left out; and so are, in each benchmark, the records of other episodes or of
    another definition than most: they must not keep the others from being ranked. A metric beside the score
    that was measured with other options than in most records is left out of its record alone.

    Args:
        records: the records.
    """
    left_out: list[str] = []
    possible: list[Record] = []
    for record in records:
        if reason := _impossible(record):
            left_out.append(f"{record.file_name}: {reason}")
        else:
            possible.append(record)
    kept: list[Record] = []
    groups: dict[str, list[Record]] = {}
    for record in possible:
        groups.setdefault(record.benchmark.title, []).append(record)
    for group in groups.values():
        usual = _most_common(_definition(r) for r in group)
        same = [r for r in group if _definition(r) == usual]
        digest = _most_common(r.episode_digest for r in same if r.status == "ok")
        options = _usual_options(same)
        for record in group:
            if _definition(record) != usual:
                left_out.append(
                    f"{record.file_name}: its benchmark is defined otherwise than in most records"
                )
            elif record.status == "ok" and record.episode_digest != digest:
                left_out.append(f"{record.file_name}: it was tested on other episodes than most")
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
    """Why the scores of a record cannot be; empty where they can."""
    for name, metric in record.metrics.items():
        share = metric.unit == SHARE or name == "accuracy"
        for score in metric.episodes:
            if (share and not 0 <= score <= 1) or abs(score) > LARGEST:
                return f"its {name} of an episode is {score:g}"
    return ""


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


def _most_common(values: Iterable[str]) -> str | None:
    """The most frequent; of equally frequent ones the first in order, for a page that is always the same."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None
