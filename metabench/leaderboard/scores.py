"""The score of a row: of a metric with a score in every episode, or the value of a column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabench.errors import UnknownName
from metabench.leaderboard.columns import ALL_COLUMNS, ValueFormat
from metabench.leaderboard.extras import ExtraValues
from metabench.records.comparability import measurement_of
from metabench.records.schema import SHARE, MetricResult, Record
from metabench.stats import (
    ClassInterval,
    ClassSlots,
    class_interval,
    score_interval,
    seed_sd,
    t_interval,
)

COSTS = ("adapt_ms", "predict_ms", "peak_mb", "train_seconds", "train_examples")
"""The costs that a leaderboard can rank by, lowest first."""

_DIRECTIONS = {c.key: c.better for c in ALL_COLUMNS if c.better} | dict.fromkeys(COSTS, "lower")
_FORMS: dict[str, ValueFormat] = {c.key: c.form for c in ALL_COLUMNS}


@dataclass(frozen=True, eq=False)
class AggregateScore:
    """The score of one algorithm on one benchmark, aggregated over its seeds.

    Attributes:
        metric: The metric or the column.
        direction: Whether a higher or a lower score is better; empty if there is no score.
        unit: The unit of the score, of a metric with a score in every episode.
        value: The mean over the episodes of the mean over the seeds, or the value of the column.
        ci95: Half the width of the 95 % t-interval over the episodes.
        low: The lower end of the 95 % interval over the episodes, within 0 and 1 for a share.
        high: The upper end.
        new_classes: The interval for new test classes, if the records state the classes.
        seed_sd: The standard deviation of the seeds' means, if there are two seeds.
        by_seed: The score of each seed in each episode, ``[S, E]``.
        classes: The classes of the episodes, and the mean over the seeds on each of them.
        missing: Why there is no score.
    """

    metric: str
    direction: str = ""
    unit: str = ""
    value: float | None = None
    ci95: float | None = None
    low: float | None = None
    high: float | None = None
    new_classes: ClassInterval | None = None
    seed_sd: float | None = None
    by_seed: NDArray[np.float64] | None = None
    classes: ClassSlots | None = None
    missing: str = ""

    @property
    def episodes(self) -> int:
        """The number of episodes; 0 without a score in every episode."""
        return 0 if self.by_seed is None else self.by_seed.shape[1]


def check_metric(name: str, records: Iterable[Record]) -> None:
    """Check that a leaderboard can rank by a metric or column.

    Raises:
        UnknownName: If no record has episode scores of it, and no column has this name.
    """
    measured = {m for record in records for m, result in record.metrics.items() if result.episodes}
    choices = sorted(measured) + sorted(_DIRECTIONS)
    if name not in choices:
        raise UnknownName("metric", name, choices, hint=f"Choose one of {', '.join(choices)}.")


def score_of_metric(
    records: Sequence[Record], metric: str, reference: Record | None
) -> AggregateScore:
    """Returns the score of a row by a metric with a score in every episode.

    Args:
        records: The records of the row that are ok, one for each seed.
        metric: The name of the metric.
        reference: The record that shows how the metric is measured; see
            :func:`metabench.records.comparability.reference_record`.
    """
    conditions = None if reference is None else _conditions(reference, metric)
    alike = [r for r in records if conditions and _conditions(r, metric) == conditions]
    if not alike:
        return AggregateScore(metric, missing=_why_missing(records, metric))
    by_seed = np.array([r.metrics[metric].episodes for r in alike])
    # Seeds first: the episodes are then independent samples of one averaged model.
    value, half_width = t_interval(by_seed.mean(0))
    spread = seed_sd([math.fsum(row) / len(row) for row in by_seed])
    result = alike[0].metrics[metric]
    low, high = _ends(by_seed.mean(0), result.unit)
    classes = _class_slots(alike, metric)
    return AggregateScore(
        metric,
        result.direction,
        result.unit,
        value,
        _known(half_width),
        low,
        high,
        _interval_for_new_classes(classes),
        _known(spread),
        by_seed,
        classes,
    )


def score_of_column(name: str, costs: Mapping[str, Any], extra: ExtraValues) -> AggregateScore:
    """Returns the score of a row by one of its columns; it has no interval.

    Args:
        name: The key of a column, or one of :data:`COSTS`.
        costs: The costs of the row, by name.
        extra: Its extra columns.
    """
    value = costs[name] if name in costs else extra.values.get(name)
    if value is None:
        return AggregateScore(name, missing=extra.missing.get(name, f"{name} was not measured"))
    return AggregateScore(name, _DIRECTIONS[name], value=float(value))


def is_column(name: str) -> bool:
    """Returns whether this is a column of a row rather than a metric with episode scores."""
    return name in _DIRECTIONS


def form_of(name: str) -> ValueFormat:
    """Returns how a score of this name is formatted."""
    return _FORMS.get(name, "number" if name in COSTS else "share")


def class_hits_of(
    record: Record, metric: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Returns the classes of each episode and their correctly classified queries, ``[E, ways]``.

    Nothing if the record does not state them, or if its episode scores do not follow from them.
    """
    result, benchmark = record.metrics[metric], record.benchmark
    try:
        classes = np.asarray(result.values["classes"])
        hits = np.asarray(result.values["class_hits"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    shape = (len(result.episodes), benchmark.ways)
    # NumPy accepts floats and objects, which are no class indices.
    if classes.dtype != np.int64 or classes.shape != shape or hits.shape != shape:
        return None
    scores = hits.sum(1) / (benchmark.ways * benchmark.queries)
    # Absolute: the metric divides in another order, and an accuracy of 0 has no relative error.
    if not np.allclose(scores, result.episodes, atol=1e-6):
        return None
    return classes, hits


def clusters_of(
    record: Record, metric: str, classes: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Returns what the classes of each episode belong to, ``[E, ways]``.

    Their groups, else their origins, else the classes themselves. Nothing if the record states
    groups or origins that are not those of these classes.

    Args:
        record: The record.
        metric: The metric that states them.
        classes: The classes of each episode, ``[E, ways]``.
    """
    values = record.metrics[metric].values
    name = next((name for name in ("class_groups", "class_origins") if name in values), "")
    if not name:
        return classes
    try:
        clusters = np.asarray(values[name])
    except (TypeError, ValueError, OverflowError):
        return None
    if clusters.dtype != np.int64 or clusters.shape != classes.shape:
        return None
    pairs = np.unique(np.stack([classes.ravel(), clusters.ravel()]), axis=1)
    # A class belongs to one cluster in all episodes.
    return clusters if pairs.shape[1] == len(np.unique(classes)) else None


def _class_slots(records: Sequence[Record], metric: str) -> ClassSlots | None:
    """Returns the clusters of the classes and the mean share of right queries, ``[1, E, ways]``."""
    found = [class_hits_of(record, metric) for record in records]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    classes = known[0][0]
    if any(not np.array_equal(classes, others) for others, _ in known):
        return None  # the hits of different classes cannot be averaged
    clusters = clusters_of(records[0], metric, classes)
    if clusters is None:
        return None
    hits = np.mean([of_seed for _, of_seed in known], axis=0)
    return ClassSlots(clusters, hits[None] / records[0].benchmark.queries)


def _interval_for_new_classes(classes: ClassSlots | None) -> ClassInterval | None:
    if classes is None:
        return None
    try:
        return class_interval(classes.clusters, classes.shares[0], queries=1)
    except ValueError:  # too few episodes or classes for an interval
        return None


def _ends(scores: NDArray[np.float64], unit: str) -> tuple[float | None, float | None]:
    if len(scores) < 2:
        return None, None
    # A drop of accuracy is stated in shares too, and may be negative.
    share = unit == SHARE and scores.min() >= 0 and scores.max() <= 1
    return score_interval(scores, share=bool(share))


def _conditions(record: Record, metric: str) -> tuple[object, ...]:
    """Returns what the episode scores of two records must share to be ranked together."""
    found = record.metrics.get(metric)
    if found is None or not found.episodes:
        return ()
    return (
        measurement_of(record, metric),
        found.direction,
        found.unit,
        len(found.episodes),
    )


def _why_missing(records: Sequence[Record], metric: str) -> str:
    found: list[MetricResult] = [r.metrics[metric] for r in records if metric in r.metrics]
    if any(result.episodes for result in found):
        return f"{metric} was measured by another version or with other options than the newest"
    reasons = sorted(
        {f"{result.status}: {result.reason.partition(chr(10))[0]}" for result in found}
    )
    # A metric that is ok without episode scores has an empty reason.
    return "; ".join(r for r in reasons if r != "ok: ") or f"{metric} was not measured"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
