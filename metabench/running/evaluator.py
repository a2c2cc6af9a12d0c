"""Meta-test: runs a trained algorithm on the frozen episodes and measures it with every metric."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from metabench.algorithms.base import Algorithm
from metabench.episodes import Sampler
from metabench.errors import CellFailed, DivergedError, MetabenchError
from metabench.metrics.base import EpisodeMetric, Metric, Outcome, measured
from metabench.metrics.trial import Predictions, Trial
from metabench.records.schema import MetricResult, Record
from metabench.registry import describe_error
from metabench.running.resolve import ResolvedCell, ResolvedMetric
from metabench.stats import t_interval


class Evaluator:
    """Evaluates an algorithm on meta-validation and meta-test.

    Args:
        resolved: The cell.
        algorithm: The algorithm, which is trained in place.
        other_datasets: Returns the test episodes of another data set, for metrics that use one.
        report: Called with each event.

    Attributes:
        ranking: The metric that ranks.

    Raises:
        CellFailed: If the first metric does not score single episodes.
    """

    def __init__(
        self,
        resolved: ResolvedCell,
        algorithm: Algorithm,
        other_datasets: Callable[[str], Sampler],
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self.ranking: EpisodeMetric = resolved.make_ranking_metric()
        self._resolved = resolved
        self._algorithm = algorithm
        self._other_datasets = other_datasets
        self._report = report

    def validate(self) -> float:
        """Returns the mean score on the meta-validation episodes."""
        tasks = self._resolved.tasks
        episodes = tasks.benchmark.validation_episodes
        trial = Trial(self._algorithm, tasks.held_out("validation"), episodes)
        scores = self.ranking.scores(trial.predictions())
        return math.fsum(scores) / len(scores)

    def test(self, record: Record) -> None:
        """Run meta-test and add its results to the record.

        Raises:
            LeakageError: If meta-test classes were drawn in meta-training.
            DivergedError: If a prediction or a score is not finite.
            CellFailed: If the ranking metric fails otherwise.
        """
        tasks = self._resolved.tasks
        episodes = tasks.benchmark.test_episodes
        sampler = tasks.held_out("test")  # the same for all seeds and algorithms
        self._algorithm.eval()
        trial = Trial(
            self._algorithm,
            sampler,
            episodes,
            on_episode=self._report_score,
            elsewhere=self._other_datasets,
        )
        # By origin, not by class: rotations of one character are several classes.
        origins = tasks.drawn_origins("test", trial.predictions().classes)
        tasks.audit.check(sorted(origins), split="test")
        record.episode_digest = sampler.digest(episodes)
        ranking, *others = self._resolved.metrics
        record.metrics[ranking.name] = _ranking_result(self.ranking, trial)
        for done, metric in enumerate(others):
            self._report({"phase": "measure", "done": done, "total": len(others)})
            record.metrics[metric.name] = _other_result(metric, trial)
        if trial.leaked_state:
            names = ", ".join(sorted(trial.leaked_state))
            record.notes.append(f"adaptation changed {names}; it was put back")

    def _report_score(self, done: int, batches: list[Predictions]) -> None:
        """Report the mean score of the episodes so far."""
        score = sum(map(sum, map(self.ranking.scores, batches))) / done
        total = self._resolved.tasks.benchmark.test_episodes
        self._report({"phase": "test", "done": done, "total": total, "score": score})


def _ranking_result(metric: EpisodeMetric, trial: Trial) -> MetricResult:
    """Returns the result of the metric that ranks. If it fails, the cell fails."""
    found = metric.measure(trial)
    trial.restore()
    try:  # before the other metrics run: a record with a NaN could not be read again
        json.dumps(found.values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CellFailed(
            f"metric '{metric.name}' returned values that JSON cannot hold: {error}."
        ) from error
    for i, score in enumerate(found.episodes):
        if not math.isfinite(score):
            raise DivergedError(f"the {metric.name} of episode {i} is {score}.")
    return _result(metric, Outcome(measurement=found))


def _other_result(resolved: ResolvedMetric, trial: Trial) -> MetricResult:
    """Returns the result of another metric. If it fails, it says why, and the others go on."""
    try:
        metric = resolved.make()
    except Exception as error:  # its class may be a plugin's code
        reason = error.message if isinstance(error, MetabenchError) else describe_error(error)
        return MetricResult(  # direction and unit are unknown, and a failed metric ranks nothing
            version=resolved.spec.version,
            direction="higher",
            unit="",
            status="failed",
            reason=reason,
        )
    return _result(metric, measured(metric, trial))


def _result(metric: Metric, outcome: Outcome) -> MetricResult:
    """Returns what a record says of a metric."""
    found = outcome.measurement
    result = MetricResult(
        version=str(metric.version),
        direction=metric.direction,
        unit=metric.unit,
        status=outcome.status,
        reason=outcome.reason,
        values=found.values,
    )
    if found.episodes:
        result.episodes = [float(score) for score in found.episodes]
        mean, half_width = t_interval(result.episodes)
        # A single episode has no interval, and JSON has no NaN.
        result.mean, result.ci95 = mean, None if math.isnan(half_width) else half_width
    return result
