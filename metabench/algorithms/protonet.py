"""Prototypical Networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.base import Algorithm, Predictor, Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskStream
from metabench.errors import NotApplicable


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances: ``[..., A, features]`` and ``[..., B, features]`` to ``[..., A, B]``."""
    cross = a @ b.transpose(-1, -2)
    return a.square().sum(-1).unsqueeze(-1) - 2 * cross + b.square().sum(-1).unsqueeze(-2)


class ProtoNet(Algorithm):
    r"""Prototypical Networks: classify by the distance to the mean embedding of each class.

    .. math:: p(y = k \mid x) \propto \exp\left(-\lVert f(x) - c_k \rVert^2\right)

    Reference: Snell, Swersky and Zemel 2017, arXiv:1703.05175, equations 1 and 2.
    Measured: leaderboards/omniglot (5-way 1-shot, paper 98.8; 20-way 1-shot, paper 96.0).
    Deviates: the learning rate is halved at fixed shares of the budget and not every 2,000 episodes; no
    second training run on training and validation classes together.

    Args:
        problem: what it is built for.
        train_ways: classes in a training episode; more than at test makes a better embedding.
        train_queries: queries for each class in a training episode.
        tasks: episodes in an outer step.
        lr: Adam's learning rate.
        halvings: how often the learning rate is halved, at equal shares of the budget.
        backbone: the embedding network; by default the benchmark's own.
    """

    name: ClassVar[str] = "protonet"

    def __init__(
        self,
        problem: Problem,
        *,
        train_ways: int = 60,
        train_queries: int = 5,
        tasks: int = 1,
        lr: float = 1e-3,
        halvings: int = 4,
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        if problem.regression:
            raise NotApplicable("protonet classifies, and this benchmark is regression.")
        self.train_ways = train_ways
        self.train_queries = train_queries
        self.tasks = tasks
        self.lr = lr
        self.halvings = halvings
        self.embed = problem.backbone(backbone)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """2,000 training episodes, after which its validation score hardly rises."""
        return {"budget": 2_000 * 60 * (problem.shots + 5)}

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        optimizer = tasks.keep(torch.optim.Adam(self.embed.parameters(), lr=self.lr))
        for batch in tasks.batches(self.tasks, ways=self.train_ways, queries=self.train_queries):
            for group in optimizer.param_groups:
                group["lr"] = self.lr * 0.5 ** int(tasks.progress * (self.halvings + 1))
            # One pass for support and query: batch norm then sees the whole episode, as in the paper's code.
            inputs = torch.cat([batch.support_x, batch.query_x], dim=1)
            features = self.embed(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
            support, query = features.split([batch.support_x.shape[1], batch.query_x.shape[1]], dim=1)
            logits = -squared_distances(query, batch.support.class_means(support))
            loss = F.cross_entropy(logits.flatten(0, 1), batch.query_y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)

    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        means = support.class_means(self.embed(support.x))
        return lambda query: -squared_distances(self.embed(query), means)

    def adapt_batch(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""

        def embed(x: Tensor) -> Tensor:
            features: Tensor = self.embed(x.flatten(0, 1))
            return features.view(*x.shape[:2], -1)

        means = support.class_means(embed(support.x))
        return lambda query: -squared_distances(embed(query), means)
