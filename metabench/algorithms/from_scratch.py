"""Training from scratch. Measured and tried: docs/algorithms/from-scratch.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from torch import nn

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support
from metabench.learning.adam import Adam
from metabench.learning.gradient_based import GradientBased
from metabench.learning.learner import Learner, Norm, descend
from metabench.learning.predictors import after, over_tasks


@hyperparameters
class FromScratch(GradientBased):
    r"""Baseline: train a randomly initialised network on each support set, without meta-training.

    .. math:: \theta'_t = \text{Adam}_K(\theta_\text{random}, L^\text{support}_t)

    It shows what meta-training is worth. The initialisation is drawn once and is the same for
    every task, so that adapting is a function of the support set; the head starts at zero, so that
    no class is preferred. Batch norm uses the statistics of the support set.

    Reference: The rows "from scratch" of Triantafillou et al. 2020, arXiv:1903.03096.
    """

    name: ClassVar[str] = "from-scratch"
    version: ClassVar[str] = "3"

    lr: float = 1e-2  # learning rate of Adam
    test_steps: int = 10  # steps on a support set, each on all of it
    norm: Norm = "support"  # statistics of batch norm: support, batch or running
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        self.learner = Learner(self.problem, self.backbone, norm=self.norm, scale=False)
        self.transductive = self.learner.transductive
        for p in self.learner.head.parameters():
            nn.init.zeros_(p)

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        loss, rate = self.problem.loss, Adam(self.lr)
        return descend(self.learner, support, loss, rate=rate, keep_graph=self.training)
