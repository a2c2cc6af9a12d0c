"""Prototypical Networks. Measured and tried: docs/algorithms/protonet.md."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.metric_based import (
    Classifier,
    MetricBased,
    squared_distances,
    train_embedding,
)
from metabench.learning.predictors import over_tasks


@hyperparameters
class ProtoNet(MetricBased):
    r"""Classify by the distance to the mean embedding of each class.

    .. math:: p(y = k \mid x) \propto \exp\left(-\lVert f(x) - c_k \rVert^2\right)

    Reference: Snell, Swersky and Zemel 2017, arXiv:1703.05175, equations 1 and 2.
    Deviates:
        * Every example of a training episode serves as support once (``turns``).
        * The rate falls linearly to 0 within the budget; no second run on train and validation.
    """

    name: ClassVar[str] = "protonet"
    version: ClassVar[str] = "2"

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        train_embedding(self, tasks)

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        classify = self.classifier(support, self.features(support.x))
        return lambda query: classify(self.features(query))

    def classifier(self, support: Support, features: Tensor) -> Classifier:
        """See :class:`MetricBased`."""
        prototypes = support.class_means(features)  # equation 1
        return lambda query: -squared_distances(query, prototypes)  # equation 2, logits
