"""Decide whether the scores of two records are comparable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

from metabench.benchmarks.model import Benchmark
from metabench.records.schema import MetricResult, Record


class Scoring(NamedTuple):
    """What the scores of two records of one benchmark must share to be comparable."""

    episode_digest: str
    metric_version: str
    direction: str
    unit: str


class Measurement(NamedTuple):
    """What two results of one metric must share to be comparable."""

    version: str
    options: str


def definition_of(benchmark: Benchmark) -> str:
    """Returns what the scores depend on, as JSON; further metrics may differ."""
    return benchmark.scored.model_dump_json()


def scoring_of(record: Record) -> Scoring:
    """Returns how a record that is ok was scored."""
    result = record.metrics[record.metric]
    return Scoring(record.episode_digest, result.version, result.direction, result.unit)


def measurement_of(record: Record, metric: str) -> Measurement:
    """Returns how a record measured a metric that it holds."""
    options = record.benchmark.metric_options.get(metric, {})  # empty: the defaults of the version
    return Measurement(record.metrics[metric].version, json.dumps(options, sort_keys=True))


def reference_record(
    records: Iterable[Record], metric: str, measured: Callable[[MetricResult], bool]
) -> Record | None:
    """Returns the newest record that measured a metric.

    A table compares a metric only with how this record measured it.

    Args:
        records: The records of one benchmark.
        metric: The name of the metric.
        measured: Whether a result counts as measured.
    """
    found = [
        r
        for r in records
        if r.status == "ok" and metric in r.metrics and measured(r.metrics[metric])
    ]
    # The key breaks ties, so that the choice does not depend on the order of the records.
    return max(found, key=lambda r: (r.finished, r.key), default=None)


def explain_conflict(first: Record, other: Record) -> str:
    """Returns why the scores of two records that are ok are not comparable; empty if they are."""
    if conflict := explain_definitions(first.benchmark, other.benchmark):
        return conflict
    if first.episode_digest != other.episode_digest:
        digests = f"{first.episode_digest[:12]} and {other.episode_digest[:12]}"
        return f"different test episodes: {digests}"
    was, now = scoring_of(first), scoring_of(other)
    changed = [
        f"{name.removeprefix('metric_')} was {a} and is {b}"
        for name, a, b in zip(Scoring._fields, was, now, strict=True)
        if a != b
    ]
    return f"different {first.metric} metrics: {'; '.join(changed)}" if changed else ""


def explain_definitions(was: Benchmark, now: Benchmark) -> str:
    """Returns how two definitions of a benchmark differ in what scores depend on, or nothing."""
    was, now = was.scored, now.scored
    if was == now:
        return ""
    if was.quick != now.quick:  # stated alone: a quick run also changes the budget and more
        kinds = ("--quick" if one.quick else "full" for one in (was, now))
        return "a {} record and a {} one".format(*kinds)
    old, new = was.model_dump(), now.model_dump()
    changed = [
        f"{name} was {old[name]} and is {new[name]}" for name in old if old[name] != new[name]
    ]
    return f"different benchmark definitions: {'; '.join(changed)}"
