"""What methods share that embed every example and classify queries by a rule with no gradient steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.algorithms.inner_loop import as_batch, single
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskStream
from metabench.errors import NotApplicable

Classifier = Callable[[Tensor], Tensor]
"""Query embeddings ``[T, Q, features]`` to logits ``[T, Q, ways]``."""


class Episodic(Algorithm):
    """An embedding, trained end to end through the rule that :meth:`classifier` makes of the support set.

    Args:
        problem: what it is built for.
        train_ways: classes in a training episode; 0 means as many as at test.
        train_queries: queries for each class in a training episode.
        tasks: episodes in an outer step.
        lr: Adam's learning rate.
        hold: the share of the budget after which the learning rate falls linearly to 0.
        backbone: the embedding network; by default the benchmark's own.

    Raises:
        NotApplicable: the problem is regression.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        train_ways: int,
        train_queries: int,
        tasks: int,
        lr: float,
        hold: float,
        backbone: str,
    ) -> None:
        super().__init__(problem)
        if problem.regression:
            raise NotApplicable(f"{self.name} classifies, and this benchmark is regression.")
        self.train_ways = train_ways or problem.ways
        self.train_queries = train_queries
        self.tasks = tasks
        self.lr = lr
        self.hold = hold
        self.embed = problem.backbone(backbone)

    @abstractmethod
    def classifier(self, support: Support, features: Tensor) -> Classifier:
        """The rule that the support set makes.

        Args:
            support: ``T`` support sets; the labels are what is of use.
            features: their embeddings, ``[T, S, features]``.
        """

    def episode_loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of each task: cross-entropy, unless the paper has another."""
        return self.problem.loss(predictions, targets)

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        optimizer = tasks.keep(torch.optim.Adam(self.parameters(), lr=self.lr))
        for batch in tasks.batches(self.tasks, ways=self.train_ways, queries=self.train_queries):
            anneal(optimizer, self.lr, self.hold, tasks.progress)
            # One pass for support and query: batch norm then sees the whole episode, as in the papers' code.
            features = self.embed_tasks(torch.cat([batch.support_x, batch.query_x], dim=1))
            support, query = features.split([batch.support_x.shape[1], batch.query_x.shape[1]], dim=1)
            logits = self.classifier(batch.support, support)(query)
            loss = self.episode_loss(logits, batch.query_y).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)

    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return single(self.adapt_batch(as_batch(support)))

    def adapt_batch(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        classify = self.classifier(support, self.embed_tasks(support.x))
        return lambda query: classify(self.embed_tasks(query))

    def embed_tasks(self, x: Tensor) -> Tensor:
        """``[T, B, *input]`` to ``[T, B, features]``."""
        features: Tensor = self.embed(x.flatten(0, 1))
        return features.view(*x.shape[:2], -1)


def anneal(optimizer: torch.optim.Optimizer, lr: float, hold: float, progress: float) -> None:
    """Set a learning rate that is held for a while, and falls linearly to 0 at the end of the budget.

    Args:
        optimizer: whose learning rate is set.
        lr: the learning rate at the start.
        hold: the share of the budget after which it falls.
        progress: the share of the budget that is spent.
    """
    left = 1.0 if progress <= hold else (1 - progress) / (1 - hold)
    for group in optimizer.param_groups:
        group["lr"] = lr * left


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances: ``[..., A, features]`` and ``[..., B, features]`` to ``[..., A, B]``."""
    cross = a @ b.transpose(-1, -2)
    return a.square().sum(-1).unsqueeze(-1) - 2 * cross + b.square().sum(-1).unsqueeze(-2)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarities: ``[..., A, features]`` and ``[..., B, features]`` to ``[..., A, B]``."""
    unit_a, unit_b = (torch.nn.functional.normalize(v, dim=-1) for v in (a, b))
    similarities: Tensor = unit_a @ unit_b.transpose(-1, -2)
    return similarities
