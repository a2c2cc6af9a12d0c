"""Training from scratch: what the support set alone can teach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import nn

from metabench.algorithms.base import Predictor, Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.learning.inner_loop import (
    Adam,
    GradientBased,
    gradient_steps,
    make_learner,
    predictors,
    sees_its_batch,
    task_params,
)


class FromScratch(GradientBased):
    r"""Train a randomly initialised network on each support set; there is no meta-training.

    .. math:: \theta'_t = \text{Adam}_K(\theta_\text{random}, L^\text{support}_t)

    The baseline that shows what meta-training is worth. The initialisation is drawn once from the cell's seed
    and is the same for every task, so that adapting is a function of the support set; the head starts at
    zero, so that no class is preferred. Batch norm uses the statistics of the batch.
    Rate and steps are the best of a few on meta-validation episodes of glyphs: there 50 steps at 0.001 are
    worse, and take four times as long.

    Reference: the rows "from scratch" of Triantafillou et al. 2020, arXiv:1903.03096, and of many papers.
    Measured: leaderboards/core (5-way glyphs: 73.8 from 1 shot, 93.2 from 5; sinusoid 3.93).

    Args:
        problem: what it is built for.
        lr: Adam's learning rate.
        test_steps: steps on a support set, each on all of it.
        backbone: the network below the head; by default the benchmark's own.
    """

    name: ClassVar[str] = "from-scratch"
    version: ClassVar[str] = "2"

    def __init__(
        self,
        problem: Problem,
        *,
        lr: float = 1e-2,
        test_steps: int = 10,
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.lr = lr
        self.test_steps = test_steps
        self.learner = make_learner(problem, backbone, norm="batch", scale=False)
        self.transductive = sees_its_batch(self.learner)
        for p in self.learner.head.parameters():
            nn.init.zeros_(p)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """Small steps on the sinusoid, where greater ones fit the five points at the cost of all others."""
        return {"lr": 1e-3} if problem.regression else {}

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        steps = gradient_steps(
            self.learner.forward_tasks,
            task_params(self.learner, len(support.x)),
            support,
            self.problem.loss,
            rate=Adam(self.lr),
            keep_graph=self.training,
        )
        return predictors(self.learner.forward_tasks, steps)
