"""What methods share that embed every example and classify queries by a rule with no gradient steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskStream
from metabench.episodes.augmentation import augmented
from metabench.errors import NotApplicable
from metabench.learning.inner_loop import as_batch, single

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
        turns: whether every example takes its turn in the support set (:func:`take_turns`).
        shift: how many pixels training images are moved at most.
        mirror: whether half of the classes of a training episode are mirrored.
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
        turns: bool,
        shift: int,
        mirror: bool,
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
        self.turns = turns
        self.shift = shift if problem.images else 0
        self.mirror = mirror and problem.images
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
            x = torch.cat([batch.support_x, batch.query_x], dim=1)
            y = torch.cat([batch.support_y, batch.query_y], dim=1)
            x = augmented(x, y, batch.ways, shift=self.shift, mirror=self.mirror)
            features = self.embed_tasks(x)
            support, query = features.split(
                [batch.support_x.shape[1], batch.query_x.shape[1]], dim=1
            )
            labelled, targets = Support(support, batch.support_y, batch.ways), batch.query_y
            if self.turns:
                labelled, query, targets = take_turns(labelled, query, targets)
            logits = self.classifier(labelled, labelled.x)(query)
            loss = self.episode_loss(logits, targets).mean()
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


def take_turns(support: Support, query: Tensor, targets: Tensor) -> tuple[Support, Tensor, Tensor]:
    """Let every embedded example take its turn in the support set.

    One pass through the backbone then serves not one episode of each task but (shots + queries) / shots,
    rounded down, each with other examples as its support set. They are episodes like any, so the expected
    gradient stays as it is; its variance falls, at next to no cost.

    Args:
        support: the embeddings of ``T`` support sets with as many shots of each class, ``[T, S, features]``.
        query: the embeddings of as many queries of each class, ``[T, Q, features]``.
        targets: their labels, ``[T, Q]``.

    Returns:
        The same three of ``turns x T`` tasks.
    """
    ways = support.ways
    by_class = torch.cat(
        [_by_class(support.x, support.y, ways), _by_class(query, targets, ways)], dim=2
    )
    shots, examples = support.x.shape[1] // ways, by_class.shape[2]
    turns = torch.cat(
        [by_class.roll(-first, dims=2) for first in range(0, examples - shots + 1, shots)]
    )
    support_y, query_y = (
        torch.arange(ways, device=query.device).repeat_interleave(count).expand(len(turns), -1)
        for count in (shots, examples - shots)
    )
    return (
        Support(turns[:, :, :shots].flatten(1, 2), support_y, ways),
        turns[:, :, shots:].flatten(1, 2),
        query_y,
    )


def _by_class(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """``[T, B, features]`` to ``[T, ways, B / ways, features]``."""
    order = labels.argsort(dim=1, stable=True).unsqueeze(-1).expand_as(features)
    gathered = features.gather(1, order)
    return gathered.view(len(features), ways, -1, features.shape[-1])


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
