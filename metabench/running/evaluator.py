"""Meta-test: runs a trained algorithm on the frozen episodes and measures it with every metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from metabench.algorithms.base import Algorithm
from metabench.episodes import Sampler
from metabench.metrics.base import EpisodeMetric
from metabench.metrics.measure import measure, unavailable
from metabench.metrics.trial import Predictions, Trial
from metabench.records.schema import MetricResult, Record
from metabench.running.resolve import ResolvedCell, ResolvedMetric


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
        """Score the frozen episodes and add the results to the record.

        They are those of meta-test; in a trial of a study, those of meta-validation.

        Raises:
            LeakageError: If meta-test classes were drawn in meta-training.
            DivergedError: If a prediction or a score is not finite.
            CellFailed: If the ranking metric fails otherwise.
        """
        tasks = self._resolved.tasks
        episodes, split = tasks.benchmark.test_episodes, tasks.benchmark.scored_on
        sampler = tasks.held_out(split)  # the same for all seeds and algorithms
        self._algorithm.eval()
        trial = Trial(
            self._algorithm,
            sampler,
            episodes,
            on_episode=self._report_score,
            elsewhere=self._other_datasets,
        )
        # By origin, not by class: rotations of one character are several classes.
        origins = tasks.drawn_origins(split, trial.predictions().classes)
        tasks.audit.check(sorted(origins), split=split)
        record.episode_digest = sampler.digest(episodes)
        ranking, *others = self._resolved.metrics
        record.metrics[ranking.name] = measure(self.ranking, trial, required=True)
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


def _other_result(resolved: ResolvedMetric, trial: Trial) -> MetricResult:
    """Returns the result of another metric. If it fails, it says why, and the others go on."""
    try:
        metric = resolved.make()
    except Exception as error:  # its class may be a plugin's code
        return unavailable(resolved.spec, error)
    return measure(metric, trial)
