"""The values of the extra columns of a row."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metabench.leaderboard.columns import (
    BASELINE,
    COLUMNS,
    FEWEST_EPISODES,
    ExtraColumn,
    ValueFormat,
)
from metabench.records.comparability import Measurement, measurement_of, reference_record
from metabench.records.costs import median
from metabench.records.schema import MetricResult, Record
from metabench.utils.finite import number
from metabench.utils.grouping import grouped

ColumnValue = bool | float | None

# A ratio of two drops is noise where the baseline loses less than a point of accuracy.
_LEAST_BASELINE_DROP = 0.01
# Seconds to a threshold need one that all records share: 90 % accuracy, or a squared error of 1.
_DEFAULT_ACCURACY = 0.9
_DEFAULT_ERROR = 1.0


@dataclass(frozen=True)
class ExtraValues:
    """The extra columns of one row.

    Attributes:
        values: The value of each column, by key; ``None`` if there is none.
        missing: Why a column has no value, by key, if the record states it.
        half_widths: Half the width of the 95 % interval over the episodes, by key, where it is
            known; the median over the seeds.
    """

    values: dict[str, ColumnValue]
    missing: dict[str, str]
    half_widths: dict[str, float]


def extra_values(
    groups: Mapping[tuple[str, str], Sequence[Record]],
) -> dict[tuple[str, str], ExtraValues]:
    """Returns the extra columns of every row, by benchmark title and algorithm label.

    In each benchmark a metric is compared only with how the newest record measured it.

    Args:
        groups: The records of each row.
    """
    ok = {place: [r for r in group if r.status == "ok"] for place, group in groups.items()}
    of_benchmark = grouped((r for group in ok.values() for r in group), lambda r: r.benchmark.title)
    measurements = {title: _measurements(records) for title, records in of_benchmark.items()}
    found = {
        (title, label): _of_row(records, measurements.get(title, {}))
        for (title, label), records in ok.items()
    }
    return {
        (title, label): _relative(row, found.get((title, BASELINE)))
        for (title, label), row in found.items()
    }


def _measurements(records: Iterable[Record]) -> dict[str, Measurement]:
    records = list(records)
    references = {
        name: reference_record(records, name, lambda result: result.status == "ok")
        for name in {name for record in records for name in record.metrics}
    }
    return {name: measurement_of(r, name) for name, r in references.items() if r is not None}


def _of_row(records: Sequence[Record], measurements: Mapping[str, Measurement]) -> ExtraValues:
    """Returns the median over the seeds of each column."""
    values: dict[str, ColumnValue] = {}
    missing: dict[str, str] = {}
    half_widths: dict[str, float] = {}
    for column in COLUMNS:
        found = [_read(record, column, measurements) for record in records]
        numbers = [v for v in found if not isinstance(v, str) and v is not None]
        values[column.key] = _over_seeds(numbers, column.form)
        reasons = sorted({v for v in found if isinstance(v, str)})
        if not numbers and reasons:
            missing[column.key] = "; ".join(reasons)
        half_width = median(_half_width(record, column) for record in records)
        if numbers and half_width is not None:
            half_widths[column.key] = half_width
    if values["corruption_drop"] is not None:
        values["noise_drop"] = None  # on images it is the drop under corruptions again
    trained = [r.training for r in records if r.training.seconds > 0]
    values["seconds_to_threshold"] = median(map(_seconds_to_threshold, records))
    values["examples_per_second"] = median(t.examples / t.seconds for t in trained)
    values["tasks_per_second"] = median(t.tasks / t.seconds for t in trained if t.tasks)
    values["train_joules"] = median(t.joules for t in trained)
    values["cell_seconds"] = median(map(_cell_seconds, records))
    values["validation_examples"] = median(t.validation_examples or None for t in trained)
    return ExtraValues(values, missing, half_widths)


def _cell_seconds(record: Record) -> float | None:
    """Returns the seconds of a cell with validation and all metrics; unknown after a resume."""
    if record.training.sittings > 1:
        return None
    try:
        started, finished = map(datetime.datetime.fromisoformat, (record.started, record.finished))
        return (finished - started).total_seconds()
    except (ValueError, TypeError):  # not two times, or only one of them has a zone
        return None


def _relative(row: ExtraValues, baseline: ExtraValues | None) -> ExtraValues:
    """Returns the columns with the relative ones divided by those of the baseline."""
    values, missing = dict(row.values), dict(row.missing)
    for column in COLUMNS:
        own, other = values[column.key], baseline.values[column.key] if baseline else None
        if not column.relative or own is None:
            continue
        values[column.key] = None
        if other is None:
            missing[column.key] = f"no {BASELINE} to compare with"
        elif other < _LEAST_BASELINE_DROP:
            missing[column.key] = f"{BASELINE} loses {other:.3f}, too little to compare with"
        else:
            values[column.key] = own / other
    return ExtraValues(values, missing, row.half_widths)


def _read(
    record: Record, column: ExtraColumn, measurements: Mapping[str, Measurement]
) -> ColumnValue | str:
    """Returns the value of a column, nothing if it was not measured, or why there is none."""
    metric = record.metrics.get(column.metric)
    if metric is None:
        return None
    comparable = measurement_of(record, column.metric) == measurements.get(column.metric)
    if metric.status == "ok" and not comparable:
        return "measured by another version or with other options than the newest"
    value = _value(metric, column.path)
    if not isinstance(value, float):
        return value
    if column.robustness:
        return few_episodes(metric, column.path) or _at_chance(record) or value
    # Their own episodes are fewer than those of the score too.
    own = column.metric in ("adaptation", "transduction")
    return (few_episodes(metric, column.path) if own else "") or value


def few_episodes(metric: MetricResult, path: Sequence[str] = ()) -> str:
    """Returns that a value is of too few episodes for a board; nothing if it is of enough.

    Args:
        metric: The metric that states it.
        path: The keys of the value; empty for the mean of the metric.
    """
    episodes = _episodes(metric, path)
    if episodes is None or episodes >= FEWEST_EPISODES:
        return ""
    return f"few episodes: {episodes:.0f}; a board shows {FEWEST_EPISODES} or more"


def _at_chance(record: Record) -> str:
    """Returns that the score of a record is at chance; nothing if it is above."""
    main = record.metrics[record.metric]
    ways = record.benchmark.ways
    if ways and main.mean is not None and main.mean - (main.ci95 or 0.0) <= 1 / ways:
        return f"at chance: a score of {main.mean:.3f} has no robustness"
    return ""


def _episodes(metric: MetricResult, path: Sequence[str]) -> float | None:
    """Returns the number of episodes of a value: the one that stands nearest to it."""
    value: Any = metric.values
    found = number(value.get("episodes"))
    if found is None and metric.episodes:
        found = float(len(metric.episodes))
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping) and (own := number(value.get("episodes"))) is not None:
            found = own
    return found


def _half_width(record: Record, column: ExtraColumn) -> float | None:
    metric = record.metrics.get(column.metric)
    if metric is None or not column.half_width or metric.status != "ok":
        return None
    found = _value(metric, column.half_width)
    return found if isinstance(found, float) else None


def _value(metric: MetricResult, path: Sequence[str]) -> ColumnValue | str:
    if metric.status != "ok":
        return f"{metric.status}: {metric.reason.partition(chr(10))[0]}"
    # The values are any JSON of a plugin: every level may be missing or of another type.
    value: Any = metric.values if path else metric.mean
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            for state in ("n/a", "failed"):
                if state in value:
                    return f"{state}: {str(value[state]).partition(chr(10))[0]}"
    # The adversarial metric lists its doubts as sentences.
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return float(len(value))
    return value if isinstance(value, bool) else number(value)


def _over_seeds(values: Sequence[bool | float], form: ValueFormat) -> ColumnValue:
    # One transductive seed shows that the method is transductive.
    if values and form == "flag":
        return any(values)
    return median(map(float, values))


def _seconds_to_threshold(record: Record) -> float | None:
    """Returns the seconds of training until meta-validation first reached the threshold."""
    adaptation = record.metrics.get("adaptation")
    lower = record.metrics[record.metric].direction == "lower"
    threshold = number(adaptation.values.get("threshold")) if adaptation is not None else None
    if threshold is None:
        threshold = -_DEFAULT_ERROR if lower else _DEFAULT_ACCURACY
    # The metric `adaptation` negates errors so that higher is better, and its threshold as well.
    for point in record.training.curve:
        if (-point.score if lower else point.score) >= threshold:
            return point.seconds
    return None
