"""How fast an algorithm adapts: in inner steps, in milliseconds, in shots."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.errors import DivergedError, NotApplicable
from metabench.metrics.adaptation.curves import area, nearly_best, steps_to
from metabench.metrics.base import Measurement, Metric, part
from metabench.metrics.noise.labels import fewer_shots
from metabench.metrics.reshaping import with_shots
from metabench.metrics.scoring import first, score_changed, score_episodes, score_interval
from metabench.metrics.trial import Trial
from metabench.runtime import timing

DIVERGED = 1e3
"""How many times worse than before it adapts, and than predicting 0, is no longer a matter of degree."""


@dataclass(frozen=True)
class Adaptation(Metric):
    r"""The score after 0, 1, 2, 3, 5, 10, 20 and 50 inner steps, and with 1, 2, 5 and 10 shots.

    .. math:: A = \frac{1}{\log(1 + K)} \int_0^K s(k) \, d \log(1 + k)

    An episode's score is the area under its own curve (:func:`metabench.metrics.adaptation.curves.area`):
    accuracy, or minus the squared error. ``steps_to_95`` is the first of the measured numbers of steps whose mean score
    is 95 % of the curve's best, ``steps_to_threshold`` the first that reaches the fixed threshold. A method
    without ``adapt_path`` is one point, and has no area. One that diverges on the way keeps its curve up to
    there, without an area: from the first step where a prediction is not finite, or where the mean squared
    error is more than a thousand times (:data:`DIVERGED`) the worse of what it is before the first step and
    what predicting 0 everywhere costs. So far off, an area tells nothing but the last step's size.

    All shots are scored on the same queries, and fewer shots are part of more; where a class has too few
    examples, there are fewer queries than in the benchmark, and ``queries`` says how many.

    Reference: the curves of Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.1.

    Args:
        episodes: the first so many test episodes.
        steps: numbers of inner steps, rising from 0.
        shots: numbers of shots.
        threshold: of ``steps_to_threshold``; by default an accuracy of 0.9, or a squared error of 1.
    """

    name: ClassVar[str] = "adaptation"
    version: ClassVar[str] = "2"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "score"

    episodes: int = 50
    steps: tuple[int, ...] = (0, 1, 2, 3, 5, 10, 20, 50)
    shots: tuple[int, ...] = (1, 2, 5, 10)
    threshold: float | None = None

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        task = next(iter(trial.sampler.range(0, 1)))
        with trial.isolated():
            ms = timing.measure(
                lambda: trial.algorithm.adapt(task.support),
                device=trial.device,
                repeats=5,
                warm_up=1,
            )
        values: dict[str, Any] = {
            "ms_per_task": ms.median_ms,
            "ms_per_task_iqr": ms.iqr_ms,
            "shots": part(lambda: self._shot_curve(trial)),
        }
        if not trial.algorithm.offers("adapt_path"):
            score = float(score_changed(trial, self.episodes).mean())
            reason = f"'{trial.algorithm.name}' adapts in one pass: it has no adapt_path, and is one point."
            return Measurement(
                values={**values, "curve": {"score": [score]}, "area": {"n/a": reason}}
            )
        scores, times = self._paths(trial)
        return self._with_curve(trial, scores, times, values)

    def _with_curve(
        self, trial: Trial, scores: Tensor, times: Tensor, values: dict[str, Any]
    ) -> Measurement:
        finite = self._sound(trial, scores)
        steps = [k for k, good in zip(self.steps, finite.tolist(), strict=True) if good]
        if not steps:
            raise DivergedError(
                f"'{trial.algorithm.name}' gives no finite prediction before it adapts."
            )
        curve = scores[:, finite].mean(0).tolist()
        regression = trial.algorithm.problem.regression
        threshold = self.threshold if self.threshold is not None else (-1.0 if regression else 0.9)
        values |= {
            "curve": {
                "steps": steps,
                "score": curve,
                "ci95": [score_interval(column)["ci95"] for column in scores[:, finite].T],
                "ms": times.median(0).values[finite].tolist(),
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

    def _sound(self, trial: Trial, scores: Tensor) -> Tensor:
        """The steps before it diverges, bool ``[len(steps)]``."""
        sound = scores.isfinite().all(0)
        if trial.algorithm.problem.regression:
            targets = torch.cat([batch.query_y for _, batch in first(trial, self.episodes)])
            of_zero = float(targets.double().square().mean())
            errors = -scores.mean(0)
            sound &= errors <= DIVERGED * max(float(errors[0]), of_zero)
        return sound.long().cumprod(0).bool()

    def _paths(self, trial: Trial) -> tuple[Tensor, Tensor]:
        """Scores (NaN where they are not finite) and milliseconds, float64 ``[E, len(steps)]``."""
        scores, times = [], []
        for index in range(min(self.episodes, trial.episodes)):
            with trial.isolated(index):
                score, ms = self._path(trial, trial.sampler.range(index, index + 1))
            scores.append(score)
            times.append(ms)
        return torch.tensor(scores, dtype=torch.float64), torch.tensor(times, dtype=torch.float64)

    def _path(self, trial: Trial, episode: TaskBatch) -> tuple[list[float], list[float]]:
        """The scores of one episode, and the time in inner steps alone up to each."""
        path = trial.algorithm.adapt_path(next(iter(episode)).support, self.steps[-1])
        scores, times = [], []
        spent = 0.0
        for step in range(self.steps[-1] + 1):
            began = _now(trial.device)
            predict = next(path, None)
            spent += _now(trial.device) - began
            if predict is None:
                raise NotApplicable(
                    f"the adapt_path of '{trial.algorithm.name}' ended after {step} of {self.steps[-1] + 1} "
                    "predictors."
                )
            if step in self.steps:
                with torch.no_grad():
                    outputs = predict(episode.query_x[0]).float().unsqueeze(0)
                try:
                    outputs = trial.checked(outputs, episode.query_x)
                    scores.append(float(score_episodes(outputs, episode.query_y)))
                except DivergedError:
                    scores.append(float("nan"))
                times.append(spent * 1e3)
        return scores, times

    def _shot_curve(self, trial: Trial) -> dict[str, Any]:
        sampler, shots = with_shots(trial.sampler, self.shots)
        curve = []
        wider = Trial(trial.algorithm, sampler, min(self.episodes, trial.episodes))
        for count in shots:
            scores = score_changed(wider, self.episodes, functools.partial(_keep, shots=count))
            curve.append(float(scores.mean()))
        return {"shots": list(shots), "queries": sampler.protocol.queries, "score": curve}


def _keep(batch: TaskBatch, indices: Tensor, *, shots: int) -> TaskBatch:
    del indices
    return fewer_shots(batch, shots)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
