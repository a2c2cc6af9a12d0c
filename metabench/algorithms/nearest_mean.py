"""Nearest class mean in pixel space: the baseline that learns nothing."""

from __future__ import annotations

from typing import ClassVar

import torch

from metabench.algorithms.base import Algorithm, Predictor
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.errors import NotApplicable


class NearestMean(Algorithm):
    r"""Classify by the nearest class mean in pixel space.

    .. math:: p(y = k \mid x) \propto \exp\left(-\lVert x - \bar{x}_k \rVert^2\right)

    Nothing is learned, so what another method scores above it is what meta-training brought.

    Measured: leaderboards/omniglot (5-way 1-shot 37.6) and leaderboards/core (5-way glyphs: 37.3 from 1 shot,
    68.2 from 5).
    """

    name: ClassVar[str] = "nearest-mean"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        if problem.regression:
            raise NotApplicable("nearest-mean classifies, and this benchmark is regression.")

    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return self.adapt_batch(support)

    def adapt_batch(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        leading = support.y.ndim
        means = support.class_means(support.x.flatten(leading))
        return lambda query: -torch.cdist(query.flatten(leading), means).square()
