"""Adaptation curves: score by inner steps, by milliseconds and by shots."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.errors import DivergedError, NotApplicable
from metabench.metrics.adaptation.curves import area, nearly_best, steps_to
from metabench.metrics.base import Measurement, Metric, values_or_reason
from metabench.metrics.bounds import Count, Steps
from metabench.metrics.scoring import (
    iter_episodes,
    score_episodes,
    score_interval,
    score_perturbed,
)
from metabench.metrics.shots import with_fewer_shots, with_shots
from metabench.metrics.trial import Trial

# Beyond this, an area would depend on nothing but the size of the last step.
DIVERGED = 1e3
"""Factor by which the mean squared error of a diverged method exceeds the larger of its error
before adaptation and the error of predicting 0."""


@dataclass(frozen=True)
class Adaptation(Metric):
    r"""Score after 0, 1, 2, 3, 5, 10, 20 and 50 inner steps, and with 1, 2, 5 and 10 shots.

    .. math:: A = \frac{1}{\log(1 + K)} \int_0^K s(k) \, d \log(1 + k)

    The score of an episode is the area under its curve
    (:func:`metabench.metrics.adaptation.curves.area`) of accuracy, or of minus the squared error.
    A method without ``adapt_path`` has one point and no area. One that diverges (a prediction is
    not finite, or see :data:`DIVERGED`) has the curve up to there and no area.

    All numbers of shots are scored on the same queries, and fewer shots are a subset of more.

    Reference: the curves of Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.1.

    Args:
        episodes: Number of test episodes, from the first on.
        steps: Ascending numbers of inner steps, the first 0.
        shots: Numbers of shots.
        threshold: Score for ``steps_to_threshold``; by default an accuracy of 0.9, or a squared
            error of 1.
    """

    name: ClassVar[str] = "adaptation"
    version: ClassVar[str] = "2"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "score"

    episodes: Count = 50
    steps: Steps = (0, 1, 2, 3, 5, 10, 20, 50)
    shots: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 5, 10)
    threshold: float | None = None

    def measure(self, trial: Trial) -> Measurement:
        """Measure both curves and the time per task; see :class:`Metric`.

        Raises:
            DivergedError: If the predictions are not finite before the first inner step.
            NotApplicable: If ``adapt_path`` ends early.
        """
        task = next(iter(trial.sampler.range(0, 1)))
        # The time of `adapt` as a user calls it, not that of the path step by step.
        with trial.isolated():
            ms = trial.model.time_adaptation(task.support)
        values: dict[str, Any] = {
            "ms_per_task": ms.median_ms,
            "ms_per_task_iqr": ms.iqr_ms,
            "shots": values_or_reason(lambda: self._shot_curve(trial)),
        }
        if not trial.model.offers("adapt_path"):
            score = float(score_perturbed(trial, self.episodes).mean())
            reason = (
                f"'{trial.model.name}' adapts in one pass: it has no adapt_path, and is one point."
            )
            return Measurement(
                values={**values, "curve": {"score": [score]}, "area": {"n/a": reason}}
            )
        scores, times = self._step_curves(trial)
        return self._with_curve(trial, scores, times, values)

    def _with_curve(
        self, trial: Trial, scores: Tensor, times: Tensor, values: dict[str, Any]
    ) -> Measurement:
        """Add the mean curve and its summaries to the values."""
        converged = self._before_divergence(trial, scores)
        steps = [k for k, good in zip(self.steps, converged.tolist(), strict=True) if good]
        if not steps:
            raise DivergedError(
                f"'{trial.model.name}' gives no finite prediction before it adapts.",
                hint="Check the initial parameters for values that are not finite.",
            )
        curve = scores[:, converged].mean(0).tolist()
        regression = trial.model.problem.regression
        threshold = self.threshold if self.threshold is not None else (-1.0 if regression else 0.9)
        values |= {
            "curve": {
                "steps": steps,
                "score": curve,
                "ci95": [score_interval(column)["ci95"] for column in scores[:, converged].T],
                "ms": times.median(0).values[converged].tolist(),
            },
            "best": max(curve),
            "steps_to_95": steps_to(steps, curve, nearly_best(curve, regression=regression)),
            "threshold": threshold,
            "steps_to_threshold": steps_to(steps, curve, threshold),
        }
        if len(steps) < len(self.steps):
            reason = f"it diverges after {self.steps[len(steps)]} inner steps."
            return Measurement(values={**values, "area": {"n/a": reason}})
        areas = area(steps, scores)
        return Measurement(areas.tolist(), {**values, "area": float(areas.mean())})

    def _before_divergence(self, trial: Trial, scores: Tensor) -> Tensor:
        """Returns which numbers of steps come before divergence, bool ``[len(steps)]``."""
        converged = scores.isfinite().all(0)
        if trial.model.problem.regression:
            targets = torch.cat([batch.query_y for _, batch in iter_episodes(trial, self.episodes)])
            error_of_zero = float(targets.double().square().mean())
            errors = -scores.mean(0)
            converged &= errors <= DIVERGED * max(float(errors[0]), error_of_zero)
        # Everything after the first divergence is dropped, even if it is finite again.
        return converged.long().cumprod(0).bool()

    def _step_curves(self, trial: Trial) -> tuple[Tensor, Tensor]:
        """Returns scores (NaN if not finite) and milliseconds, float64 ``[E, len(steps)]``."""
        scores, times = [], []
        for index in range(min(self.episodes, trial.episodes)):
            with trial.isolated(index):
                score, ms = self._step_curve(trial, trial.sampler.range(index, index + 1))
            scores.append(score)
            times.append(ms)
        return torch.tensor(scores, dtype=torch.float64), torch.tensor(times, dtype=torch.float64)

    def _step_curve(self, trial: Trial, episode: TaskBatch) -> tuple[list[float], list[float]]:
        """Returns the scores of one episode, and the milliseconds in inner steps up to each."""
        task = next(iter(episode))
        path = trial.model.path(task.support, task.query_x, self.steps)
        if path.predictors <= self.steps[-1]:
            raise NotApplicable(
                f"the adapt_path of '{trial.model.name}' ended after {path.predictors} of "
                f"{self.steps[-1] + 1} predictors."
            )
        scores = []
        for outputs in path.outputs:
            try:
                checked = trial.checked(outputs.unsqueeze(0), episode.query_x)
                scores.append(float(score_episodes(checked, episode.query_y)))
            # NaN marks the step; a diverged method keeps the points before it.
            except DivergedError:
                scores.append(float("nan"))
        return scores, path.ms

    def _shot_curve(self, trial: Trial) -> dict[str, Any]:
        sampler, shots = with_shots(trial.sampler, self.shots)
        scores = []
        # One sampler for all: the queries stay the same and the support sets are nested.
        most = Trial(trial.model, sampler, min(self.episodes, trial.episodes))
        for count in shots:
            keep = functools.partial(_keep_shots, shots=count)
            scores.append(float(score_perturbed(most, self.episodes, keep).mean()))
        return {"shots": list(shots), "queries": sampler.protocol.queries, "score": scores}


def _keep_shots(batch: TaskBatch, indices: Tensor, *, shots: int) -> TaskBatch:
    del indices
    return with_fewer_shots(batch, shots)
