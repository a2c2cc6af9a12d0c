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
    worst_decile,
)
from metabench.metrics.base import EpisodeMetric, Measurement
from metabench.metrics.trial import Predictions, Trial


class Accuracy(EpisodeMetric):
    r"""The share of queries that are classified rightly.

    .. math:: \frac{1}{Q} \sum_q [\arg\max_k f(x_q)_k = y_q]

    Beside the score of each episode stand the classes that it showed and how many queries of each were
    classified rightly, which statistics over *classes* need; and, of all episodes together, macro-F1,
    calibration, log-likelihood and the worst tenth (:mod:`~metabench.metrics.accuracy.calibration`), and the
    accuracy on each way: classes are numbered at random, so a method that favours one number shows it in ``by_way``.
    The score by shots is in :class:`metabench.metrics.adaptation.metric.Adaptation`.
    """

    name: ClassVar[str] = "accuracy"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "share"

    def scores(self, predictions: Predictions) -> list[float]:
        """See :class:`EpisodeMetric`."""
        queries = predictions.targets.shape[1]
        return [count / queries for count in _right(predictions).sum(1).tolist()]

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        if trial.algorithm.problem.regression:
            raise NotApplicable("it counts right labels, and this benchmark is regression.")
        predictions = trial.predictions()
        ways = trial.algorithm.problem.ways
        of_class = F.one_hot(predictions.targets, ways)
        hits = (of_class * _right(predictions).unsqueeze(-1)).sum(1)
        scores = self.scores(predictions)
        values = {
            "classes": predictions.classes.tolist(),
            "class_hits": hits.tolist(),
            "by_way": (hits.sum(0) / of_class.sum((0, 1))).tolist(),
            "macro_f1": macro_f1(predictions.outputs.argmax(-1), predictions.targets, ways),
            "ece": expected_calibration_error(predictions.outputs, predictions.targets),
            "nll": negative_log_likelihood(predictions.outputs, predictions.targets),
            "worst_decile": worst_decile(scores),
        }
        return Measurement(scores, values)


def _right(predictions: Predictions) -> Tensor:
    """Which queries are classified rightly, int64 ``[E, Q]``."""
    return (predictions.outputs.argmax(-1) == predictions.targets).long()
