"""Checks of a single record: everything in it that follows from other fields."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from metabench.leaderboard.scores import class_hits_of
from metabench.records.schema import MetricResult, Record, key_of
from metabench.stats import t_interval
from metabench.stats.worst_decile import worst_decile

# Processors sum in different orders, and quantiles of Student's t differ by 4e-9 between releases
# of SciPy (1.11 and 1.17).
_TOLERANCE = 1e-7
_FLOAT32_TOLERANCE = 1e-6
# metabench.metrics.transduction.TOLERANCE: importing it would need PyTorch.
MOST_CHANGED = 1e-3
"""The share of predictions of an inductive method that may differ without the other queries."""


def record_problems(record: Record) -> list[str]:
    """Returns each contradiction in a record as a predicate of which the record is the subject."""
    return [problem for check in CHECKS for problem in check(record)]


def equal(stated: object, computed: float, tolerance: float = _TOLERANCE) -> bool:
    """Returns whether a stated number is the computed one up to rounding; ``None`` means NaN."""
    if stated is None:
        return math.isnan(computed)
    if isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return False
    return math.isclose(stated, computed, rel_tol=tolerance, abs_tol=tolerance)


def _quick(record: Record) -> Iterator[str]:
    if record.benchmark.quick:
        yield "it is a record of a --quick run, which a leaderboard never contains"


def _key(record: Record) -> Iterator[str]:
    # The key of a record that failed before its data were opened has no data digest.
    key = key_of(record.algorithm, record.benchmark, record.seed, record.data_digest)
    if record.status == "ok" and record.key != key:
        yield f"its key begins with {record.key[:10]}, but the key of what it ran with {key[:10]}"


def _overrides(record: Record) -> Iterator[str]:
    values = record.algorithm.hyperparameters
    for name, value in record.algorithm.overrides.items() if values else ():
        if values.get(name) != value:
            yield f"its override {name}={value} contradicts its {name}={values.get(name)}"


def _status(record: Record) -> Iterator[str]:
    if record.status == "ok" and record.reason:
        yield f"its status is ok, but it has a reason for a failure: {record.reason}"
    measured = all(name in record.metrics for name in record.benchmark.metrics)
    if record.status != "ok" and measured and record.metrics[record.metric].episodes:
        yield f"its status is {record.status}, but it holds every metric of its benchmark"


def _times(record: Record) -> Iterator[str]:
    try:
        times = [datetime.datetime.fromisoformat(t) for t in (record.started, record.finished) if t]
        reversed_ = len(times) == 2 and times[1] < times[0]
    except (TypeError, ValueError):  # no dates, or one has a time zone and the other has none
        yield f"its times '{record.started}' and '{record.finished}' are not ISO 8601 in UTC"
        return
    if reversed_:
        yield f"it finished at {record.finished}, before it started at {record.started}"


def _budget(record: Record) -> Iterator[str]:
    training = record.training
    budget = record.algorithm.hyperparameters.get("budget", record.benchmark.budget)
    drawn = max((training.examples, *(point.examples for point in training.curve)))
    if isinstance(budget, int) and drawn > budget:
        yield f"its training drew {drawn} examples, more than its budget of {budget}"


def _curve(record: Record) -> Iterator[str]:
    training, curve = record.training, record.training.curve
    positions = [point.examples for point in curve]
    if positions != sorted(set(positions)):
        yield "its learning curve does not ascend in examples"
    if record.status == "ok" and curve and positions[-1] > training.examples:
        yield f"its learning curve goes beyond the {training.examples} examples of its training"
    if training.best_examples not in (positions or [0]):
        yield f"its best_examples {training.best_examples} is not on its learning curve"
    elif record.status == "ok" and curve:  # a record without scores does not state the direction
        sign = -1 if record.metrics[record.metric].direction == "lower" else 1
        best = max(curve, key=lambda point: (sign * point.score, point.examples)).examples
        if training.best_examples != best:
            yield f"its best_examples is {training.best_examples}, but its best score at {best}"


def _track(record: Record) -> Iterator[str]:
    found = record.track_evidence
    if found is None:
        if record.track:
            yield f"its track is stated as {record.track}, without what it was measured from"
        return
    measured = "transductive" if found.changed > MOST_CHANGED else "inductive"
    # A reason says that the track is the declared one, or that no single query can be predicted.
    if record.track != measured and not found.reason:
        share = f"{100 * found.changed:.3g} % of its predictions changed"
        yield f"its track is stated as {record.track}, but {measured} follows: {share}"


def _means(record: Record) -> Iterator[str]:
    for name, metric in record.metrics.items():
        if not metric.episodes:
            continue
        if "class_hits" in metric.values and class_hits_of(record, name) is None:
            yield f"its {name} of the episodes does not follow from their classes"
        mean, half_width = t_interval(metric.episodes)
        if not equal(metric.mean, mean) or not equal(metric.ci95, half_width):
            stated, computed = f"{metric.mean} ± {metric.ci95}", f"{mean} ± {half_width}"
            yield f"its {name} is stated as {stated}, but its episodes have {computed}"


def _derived_values(record: Record) -> Iterator[str]:
    for name, metric in record.metrics.items():
        for path, stated, computed, tolerance in _derived(record, name, metric):
            if not equal(stated, computed, tolerance):
                yield f"its {name}.{path} is stated as {stated}, but {computed:.6g} follows"


def _derived(
    record: Record, name: str, metric: MetricResult
) -> Iterator[tuple[str, object, float, float]]:
    """Yield the values of a metric that follow from others: path, value, and what it must be."""
    values = metric.values
    if metric.episodes and "worst_decile" in values:
        higher = metric.direction == "higher"
        worst = worst_decile(metric.episodes, higher_is_better=higher)
        yield "worst_decile", values["worst_decile"], worst, _TOLERANCE
    found = class_hits_of(record, name)
    if found is not None and isinstance(values.get("by_way"), list):
        shares = found[1].sum(0) / (len(found[1]) * record.benchmark.queries)
        stated = [*values["by_way"], *[None] * len(shares)]
        for way, share in enumerate(shares.tolist()):  # computed in float32
            yield f"by_way[{way}]", stated[way], share, _FLOAT32_TOLERANCE
    if metric.episodes and "area" in values:
        yield "area", values["area"], math.fsum(metric.episodes) / len(metric.episodes), _TOLERANCE
    yield from _drops(values)


def _drops(
    values: Mapping[str, Any], path: str = "", clean: object = None, episodes: object = None
) -> Iterator[tuple[str, object, float, float]]:
    """Yield the drops: clean score minus score, both over the same number of episodes."""
    clean, count = values.get("clean", clean), values.get("episodes", episodes)
    score = values.get("score")
    if (
        "drop" in values
        and isinstance(clean, (int, float))
        and isinstance(score, (int, float))
        and (episodes is None or count == episodes)
    ):
        yield path + "drop", values["drop"], clean - score, _FLOAT32_TOLERANCE
    for key, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield from _drops(one, f"{path}{key}.", clean, count)


CHECKS: tuple[Callable[[Record], Iterator[str]], ...] = (
    _quick,
    _key,
    _overrides,
    _status,
    _times,
    _budget,
    _curve,
    _track,
    _means,
    _derived_values,
)
"""Each check yields the contradictions that it finds in a record."""
