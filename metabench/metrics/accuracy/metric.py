"""Accuracy over the queries of an episode."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from metabench.errors import NotApplicable
from metabench.metrics.accuracy.calibration import (
    expected_calibration_error,
    macro_f1,
    negative_log_likelihood,
)
from metabench.metrics.accuracy.clusters import class_clusters
from metabench.metrics.base import EpisodeMetric, Measurement, ProblemKind
from metabench.metrics.trial import Predictions, Trial
from metabench.stats.worst_decile import worst_decile


class Accuracy(EpisodeMetric):
    r"""Share of queries that are classified correctly.

    .. math:: \frac{1}{Q} \sum_q [\arg\max_k f(x_q)_k = y_q]

    The values hold, per episode, its ``classes``, the correct queries of each (``class_hits``) and,
    where the data set has them, their ``class_groups`` and ``class_origins``, which statistics
    over classes need; and over all episodes macro-F1, calibration, likelihood
    (:mod:`~metabench.metrics.accuracy.calibration`), the worst tenth, and the accuracy of each
    label (``by_way``). Classes are numbered at random, so a method that prefers one label shows
    there. The score by shots is in :class:`metabench.metrics.adaptation.metric.Adaptation`.
    """

    name: ClassVar[str] = "accuracy"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    kinds: ClassVar[tuple[ProblemKind, ...]] = ("classification",)
    unit: ClassVar[str] = "share"

    def scores(self, predictions: Predictions) -> list[float]:
        """Returns the accuracy of each episode; see :class:`EpisodeMetric`."""
        queries = predictions.targets.shape[1]
        return [count / queries for count in _correct(predictions).sum(1).tolist()]

    def measure(self, trial: Trial) -> Measurement:
        """Add the values over all episodes; see :class:`Metric`."""
        if trial.model.problem.regression:
            raise NotApplicable("it counts correct labels, and this benchmark is regression.")
        predictions = trial.predictions()
        ways = trial.model.problem.ways
        of_class = F.one_hot(predictions.targets, ways)
        # Row k counts the queries of label k: its class is column k of `classes`.
        hits = (of_class * _correct(predictions).unsqueeze(-1)).sum(1)
        scores = self.scores(predictions)
        values = {
            "classes": predictions.classes.tolist(),
            "class_hits": hits.tolist(),
            **class_clusters(trial.sampler, predictions.classes),
            "by_way": (hits.sum(0) / of_class.sum((0, 1))).tolist(),
            "macro_f1": macro_f1(predictions.outputs.argmax(-1), predictions.targets, ways),
            "ece": expected_calibration_error(predictions.outputs, predictions.targets),
            "nll": negative_log_likelihood(predictions.outputs, predictions.targets),
            "worst_decile": worst_decile(scores),
        }
        return Measurement(scores, values)


def _correct(predictions: Predictions) -> Tensor:
    """Returns which queries are classified correctly, int64 ``[E, Q]``."""
    return (predictions.outputs.argmax(-1) == predictions.targets).long()
