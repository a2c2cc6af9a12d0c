"""Nearest class mean in pixel space. Measured: docs/algorithms/nearest-mean.md."""

from __future__ import annotations

from typing import ClassVar

import torch

from metabench.algorithms.base import Algorithm, Predictor, hyperparameters
from metabench.episodes import Support
from metabench.errors import NotApplicable
from metabench.learning.predictors import over_tasks


@hyperparameters
class NearestMean(Algorithm):
    r"""Baseline: classify by the nearest class mean in pixel space; nothing is learned.

    .. math:: p(y = k \mid x) \propto \exp\left(-\lVert x - \bar{x}_k \rVert^2\right)

    Raises:
        NotApplicable: If the problem is regression.
    """

    name: ClassVar[str] = "nearest-mean"

    def __post_init__(self) -> None:
        if self.problem.regression:
            raise NotApplicable("nearest-mean classifies, and this benchmark is regression.")

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        means = support.class_means(support.x.flatten(2))
        return lambda query: -torch.cdist(query.flatten(2), means).square()

    def adapt_batch(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return self.adapt(support)
