"""Mean squared error of regression tasks."""

from __future__ import annotations

from typing import ClassVar, Literal

from metabench.errors import NotApplicable
from metabench.metrics.base import EpisodeMetric, Measurement, ProblemKind
from metabench.metrics.trial import Predictions, Trial
from metabench.stats.worst_decile import worst_decile


class MeanSquaredError(EpisodeMetric):
    r"""Mean squared error over the queries of a task.

    .. math:: \frac{1}{Q} \sum_q \lVert f(x_q) - y_q \rVert^2
    """

    name: ClassVar[str] = "mse"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    kinds: ClassVar[tuple[ProblemKind, ...]] = ("regression",)
    unit: ClassVar[str] = "squared error"

    def scores(self, predictions: Predictions) -> list[float]:
        """Returns the mean squared error of each episode; see :class:`EpisodeMetric`."""
        errors = (predictions.outputs - predictions.targets).double().square()
        scores: list[float] = errors.mean((1, 2)).tolist()
        return scores

    def measure(self, trial: Trial) -> Measurement:
        """Add the mean of the worst tenth of the episodes; see :class:`Metric`."""
        if not trial.model.problem.regression:
            raise NotApplicable(
                "it measures distances to real values, and this benchmark has labels."
            )
        scores = self.scores(trial.predictions())
        return Measurement(scores, {"worst_decile": worst_decile(scores, higher_is_better=False)})
