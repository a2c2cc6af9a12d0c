"""Meta-test: measures a trained model with every metric on the frozen episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from metabench.benchmarks.leakage import count_repeated, repeats_examples
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.episodes import Sampler
from metabench.metrics.base import Metric
from metabench.metrics.measure import measure, unavailable
from metabench.metrics.model import Model
from metabench.metrics.track import measure_track, probes_per_episode
from metabench.metrics.trial import Predictions, Trial
from metabench.records.schema import MetricResult, Record, TrackEvidence
from metabench.running.resolve import ResolvedMetric


class Evaluator:
    """Evaluates a model on meta-test.

    Args:
        tasks: The opened benchmark, with the training classes that were drawn.
        metrics: The metrics; the first one ranks.
        other_datasets: Returns the test episodes of another data set, for metrics that use one.
        report: Called with each event.

    Raises:
        CellFailed: If the first metric does not score single episodes.
    """

    def __init__(
        self,
        tasks: BenchmarkTasks,
        metrics: Sequence[ResolvedMetric],
        other_datasets: Callable[[str], Sampler],
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._ranking = metrics[0].make_ranking()
        self._tasks = tasks
        self._metrics = metrics
        self._other_datasets = other_datasets
        self._report = report

    def test(self, model: Model, record: Record) -> None:
        """Score the frozen episodes and add the results to the record.

        They are those of meta-test; in a trial of a study, those of meta-validation.

        Args:
            model: The trained algorithm, in evaluation mode.
            record: The record of the cell.

        Raises:
            LeakageError: If meta-test classes were drawn in meta-training.
            DivergedError: If a prediction or a score is not finite.
            CellFailed: If the ranking metric fails otherwise.
        """
        tasks = self._tasks
        episodes, split = tasks.benchmark.test_episodes, tasks.benchmark.scored_on
        sampler = tasks.held_out(split)  # the same for all seeds and algorithms
        trial = Trial(
            model,
            sampler,
            episodes,
            on_episode=self._report_score,
            elsewhere=self._other_datasets,
            probes=probes_per_episode(episodes),
        )
        # By origin, not by class: rotations of one character are several classes.
        origins = tasks.drawn_origins(split, trial.predictions().classes)
        tasks.audit.check(sorted(origins), split=split)
        record.episode_digest = sampler.digest(episodes)
        ranking, *others = self._metrics
        found = {ranking.name: measure(self._ranking, trial, required=True)}
        record.metrics = found
        made = [(metric, _make(metric)) for metric in others]
        # An algorithm that is given labels must not be able to use them in a later metric.
        hiding = [one for one in made if not _reveals_labels(one[1])]
        revealing = [one for one in made if _reveals_labels(one[1])]
        self._measure(hiding, trial, found, total=len(made))
        # Here: which queries an unbalanced episode keeps depends on their labels.
        self._add_track(record, trial)
        self._measure(revealing, trial, found, total=len(made))
        record.metrics = {metric.name: found[metric.name] for metric in self._metrics}
        if repeated := self._repeated_queries(trial):
            queries = trial.predictions().targets.shape
            total = queries[0] * queries[1]
            record.notes.append(
                f"{repeated} of {total} test queries repeat an example of their support set"
            )
        if trial.leaked_state:
            names = ", ".join(sorted(trial.leaked_state))
            record.notes.append(f"adaptation changed {names}; it was put back")

    def _measure(
        self,
        made: Sequence[tuple[ResolvedMetric, Metric | MetricResult]],
        trial: Trial,
        found: dict[str, MetricResult],
        *,
        total: int,
    ) -> None:
        """Add the results of further metrics to those that are found."""
        for resolved, metric in made:
            self._report({"phase": "measure", "done": len(found) - 1, "total": total})
            found[resolved.name] = (
                metric if isinstance(metric, MetricResult) else measure(metric, trial)
            )

    def _add_track(self, record: Record, trial: Trial) -> None:
        found = measure_track(trial, self._ranking)
        record.track, record.track_evidence = found.track, TrackEvidence(**found.evidence)
        declared = trial.model.transductive
        if declared is not (found.track == "transductive"):
            record.notes.append(
                f"it declares transductive = {declared}, and is measured as {found.track}"
            )

    def _repeated_queries(self, trial: Trial) -> int:
        """Returns the number of test queries whose content is in their support set."""
        # Most pools repeat nothing: then the episodes are not drawn again.
        if not self._tasks.pools or not repeats_examples(
            self._tasks.pool(self._tasks.benchmark.scored_on)
        ):
            return 0
        return sum(map(count_repeated, trial.batches()))

    def _report_score(self, done: int, batches: list[Predictions]) -> None:
        """Report the mean score of the episodes so far."""
        score = sum(map(sum, map(self._ranking.scores, batches))) / done
        total = self._tasks.benchmark.test_episodes
        self._report({"phase": "test", "done": done, "total": total, "score": score})


def _make(resolved: ResolvedMetric) -> Metric | MetricResult:
    """Returns a metric. If it fails, its result says why, and the others are measured."""
    try:
        return resolved.make()
    except Exception as error:  # its class may be a plugin's code
        return unavailable(resolved.spec, error)


def _reveals_labels(metric: Metric | MetricResult) -> bool:
    return isinstance(metric, Metric) and metric.reveals_labels
