"""Measure a metric on a trial: isolation, checks, statuses and intervals in one function."""

from __future__ import annotations

import json
import math

import torch

from metabench.errors import CellFailed, DivergedError, MetabenchError, NotApplicable
from metabench.metrics.base import Measurement, Metric
from metabench.metrics.trial import Trial
from metabench.records.schema import MetricResult
from metabench.registry import Spec, describe_error
from metabench.stats import t_interval


def measure(metric: Metric, trial: Trial, *, required: bool = False) -> MetricResult:
    """Measure a metric on a trial and return its result with a status.

    The random state depends on the first episode alone, gradients are enabled, and changes of the
    algorithm's parameters and buffers are undone. An error of the metric, a score that is not
    finite and a value that JSON cannot represent become the status and the reason of the result,
    so that no other metric is affected.

    Args:
        metric: The metric.
        trial: The trained algorithm on frozen episodes.
        required: Raise errors instead. For the metric that ranks: without it the cell has failed.

    Returns:
        The scores with their mean and 95 % interval, and the values; neither unless the status is
        ``ok``.

    Raises:
        NotApplicable: If the metric is required and does not apply.
        DivergedError: If the metric is required and a score is not finite.
        CellFailed: If the metric is required and JSON cannot represent its values.
    """
    try:
        with trial.isolated(), torch.enable_grad():
            measurement = metric.measure(trial)
        _check(metric, measurement)
    # Not BaseException: Ctrl-C ends the run and not the metric.
    except Exception as error:
        if required:
            raise
        return _failure(metric, error)
    result = _result(metric)
    result.values = measurement.values
    if measurement.episodes:
        # A metric may return scalars of NumPy or PyTorch, which a record cannot hold.
        result.episodes = [float(score) for score in measurement.episodes]
        mean, half_width = t_interval(result.episodes)
        result.mean, result.ci95 = mean, None if math.isnan(half_width) else half_width
    return result


def unavailable(spec: Spec, error: Exception) -> MetricResult:
    """Returns the result of a metric that could not be constructed.

    Args:
        spec: Spec of the metric.
        error: The error that :func:`metabench.metrics.options.make_metric` raised.
    """
    reason = error.message if isinstance(error, MetabenchError) else describe_error(error)
    # The class that knows the direction and the unit is what could not be loaded.
    return MetricResult(
        version=spec.version, direction="higher", unit="", status="failed", reason=reason
    )


def _failure(metric: Metric, error: Exception) -> MetricResult:
    result = _result(metric)
    result.status = "failed"
    if isinstance(error, NotApplicable):
        result.status, result.reason = "n/a", error.message
    elif isinstance(error, MetabenchError):
        result.reason = str(error)
    else:
        result.reason = f"{type(error).__name__}: {error}"
        # MemoryError is the host's, OutOfMemoryError a device's.
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            result.status = "out-of-memory"
    return result


def _result(metric: Metric) -> MetricResult:
    return MetricResult(version=str(metric.version), direction=metric.direction, unit=metric.unit)


def _check(metric: Metric, measurement: Measurement) -> None:
    for i, score in enumerate(measurement.episodes):
        if not math.isfinite(score):
            raise DivergedError(
                f"the {metric.name} of episode {i} is {score}, which is not finite."
            )
    try:
        json.dumps(measurement.values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CellFailed(
            f"metric '{metric.name}' returned values that JSON cannot represent: {error}."
        ) from error
