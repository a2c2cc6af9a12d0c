"""What a leaderboard ranks by: a score of every episode, or one number of each row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabench.errors import UnknownName
from metabench.leaderboard.columns import COLUMNS, TRAINING, Beside, Form
from metabench.records.schema import MetricResult, Record
from metabench.stats import ClassInterval, class_interval, seed_sd, t_interval

COSTS = ("adapt_ms", "predict_ms", "peak_mb", "train_seconds", "train_examples")
"""Costs of a row that it can be ranked by: the lowest first."""

_BETTER = {c.key: c.better for c in (*COLUMNS, *TRAINING) if c.better} | dict.fromkeys(
    COSTS, "lower"
)
_FORMS: dict[str, Form] = {c.key: c.form for c in (*COLUMNS, *TRAINING)}


@dataclass(frozen=True, eq=False)
class Scored:
    """The score of one algorithm on one benchmark.

    Attributes:
        metric: what the score is.
        direction: whether a higher or a lower score is better; empty where there is none.
        value: the mean over the episodes of the mean over the seeds, or the one number.
        ci95: half the 95 % t-interval over the episodes.
        new_classes: the interval for new test classes, where the records tell of classes.
        seed_sd: standard deviation of the seeds' means, where there are two.
        episodes: the mean over the seeds in each episode, ``[E]``.
        why: why there is no score.
    """

    metric: str
    direction: str = ""
    value: float | None = None
    ci95: float | None = None
    new_classes: ClassInterval | None = None
    seed_sd: float | None = None
    episodes: NDArray[np.float64] | None = None
    why: str = ""


def check_name(name: str, records: Iterable[Record]) -> None:
    """Raise UnknownName where nothing of this name was measured in any record, or could have been."""
    measured = {m for record in records for m, result in record.metrics.items() if result.episodes}
    choices = sorted(measured) + sorted(_BETTER)
    if name not in choices:
        raise UnknownName(
            "metric", name, choices, hint=f"A row can be ranked by {', '.join(choices)}."
        )


def ruler(records: Iterable[Record], metric: str) -> Record | None:
    """The newest record with scores by a metric: those of another version or with other options stay out."""
    scored = [
        r
        for r in records
        if r.status == "ok" and metric in r.metrics and r.metrics[metric].episodes
    ]
    return max(scored, key=lambda r: (r.finished, r.key), default=None)


def of_episodes(records: Sequence[Record], metric: str, rule: Record | None) -> Scored:
    """The score of one row by a metric of episodes.

    Args:
        records: those of the row that are ok, one for each seed.
        metric: the name of the metric.
        rule: see :func:`ruler`.
    """
    well = [
        r
        for r in records
        if rule is not None and _counted_by(r, metric) == _counted_by(rule, metric)
    ]
    if not well:
        return Scored(metric, why=_why(records, metric))
    scores = np.mean([r.metrics[metric].episodes for r in well], axis=0)
    value, half_width = t_interval(scores)
    spread = seed_sd([math.fsum(r.metrics[metric].episodes) / len(scores) for r in well])
    return Scored(
        metric,
        well[0].metrics[metric].direction,
        value,
        _known(half_width),
        _for_new_classes(well, metric, scores),
        _known(spread),
        scores,
    )


def of_column(name: str, row: Mapping[str, Any], beside: Beside) -> Scored:
    """The score of one row that is a number of its own, without an interval.

    Args:
        name: one of :data:`metabench.leaderboard.columns.KEYS` or of :data:`COSTS`.
        row: its costs, by name.
        beside: its further columns.
    """
    value = row[name] if name in row else beside.values.get(name)
    if value is None:
        return Scored(name, why=beside.why.get(name, f"{name} was not measured"))
    return Scored(name, _BETTER[name], float(value))


def is_column(name: str) -> bool:
    """Whether this is a number of a row, and no metric of episodes."""
    return name in _BETTER


def form_of(name: str) -> Form:
    """How a score of this name is shown."""
    return _FORMS.get(name, "number" if name in COSTS else "share")


def hits_of(record: Record, metric: str) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """The classes of each episode, ``[E, ways]``, and how many of their queries were right.

    Nothing where the record does not tell; where what it tells is not what its scores are made of, either.
    """
    result, benchmark = record.metrics[metric], record.benchmark
    try:
        classes = np.asarray(result.values["classes"])
        hits = np.asarray(result.values["class_hits"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    shape = (len(result.episodes), benchmark.ways)
    if classes.dtype != np.int64 or classes.shape != shape or hits.shape != shape:
        return None
    if not np.allclose(
        hits.sum(1) / (benchmark.ways * benchmark.queries), result.episodes, atol=1e-6
    ):
        return None
    return classes, hits


def _for_new_classes(
    records: Sequence[Record], metric: str, scores: NDArray[np.float64]
) -> ClassInterval | None:
    told = [hits_of(record, metric) for record in records]
    known = [found for found in told if found is not None]
    if len(known) < len(told) or any(
        not np.array_equal(known[0][0], classes) for classes, _ in known
    ):
        return None
    hits = np.mean([of_seed for _, of_seed in known], axis=0)
    try:
        return class_interval(known[0][0], hits, queries=records[0].benchmark.queries)
    except ValueError:  # too few episodes, or all of the same classes: nothing is known of others
        return None


def _counted_by(record: Record, metric: str) -> tuple[object, ...]:
    found = record.metrics.get(metric)
    if found is None or not found.episodes:
        return ()
    options = record.benchmark.metric_options.get(metric, {})
    return found.version, found.direction, found.unit, len(found.episodes), options


def _why(records: Sequence[Record], metric: str) -> str:
    found: list[MetricResult] = [r.metrics[metric] for r in records if metric in r.metrics]
    if any(result.episodes for result in found):
        return f"{metric} was measured with other options than the rest"
    reasons = sorted(
        {f"{result.status}: {result.reason.partition(chr(10))[0]}" for result in found}
    )
    return "; ".join(r for r in reasons if r != "ok: ") or f"{metric} was not measured"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
