"""Training of methods that embed examples and classify queries by a rule without gradient steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.base import Algorithm, Predictor, hyperparameters
from metabench.episodes import Support, TaskBatch, TaskStream
from metabench.errors import NotApplicable
from metabench.learning.schedules import hold_then_linear

Classifier = Callable[[Tensor], Tensor]
"""Query embeddings ``[T, Q, features]`` to logits ``[T, Q, ways]``."""


@hyperparameters
class MetricBased(Algorithm):
    """An embedding, trained end to end through a rule that the support set defines.

    A subclass defines :meth:`classifier`, ``meta_train`` (with :func:`train_embedding`) and
    ``adapt``.

    Raises:
        NotApplicable: If the problem is regression.
    """

    train_ways: int = 60  # classes in a training episode; 0: as at test. More embed better
    train_queries: int = 5  # queries for each class in a training episode
    tasks: int = 1  # episodes in an outer step
    lr: float = 2e-3  # learning rate of Adam
    hold: float = 0.5  # share of the budget after which the rate falls linearly to 0
    turns: bool = True  # whether every example serves as support once, see rotate_support
    backbone: str = ""  # the embedding network; by default the benchmark's own

    def __post_init__(self) -> None:
        if self.problem.regression:
            raise NotApplicable(f"{self.name} classifies, and this benchmark is regression.")
        self.embed = self.problem.backbone(self.backbone)

    @abstractmethod
    def classifier(self, support: Support, features: Tensor) -> Classifier:
        """Returns the rule that the support sets define.

        Args:
            support: ``T`` support sets, for their labels.
            features: Their embeddings, ``[T, S, features]``.
        """

    def episode_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean loss of each task: cross-entropy, unless the paper has another."""
        return self.problem.loss(logits, targets)

    def adapt_batch(self, support: Support) -> Predictor:
        """See :meth:`Algorithm.adapt_batch`."""
        return self.adapt(support)

    def features(self, x: Tensor) -> Tensor:
        """Map ``[T, B, *input]`` to embeddings ``[T, B, features]``."""
        features: Tensor = self.embed(x.flatten(0, 1))
        return features.view(*x.shape[:2], -1)


def train_embedding(method: MetricBased, tasks: TaskStream) -> None:
    """Train an embedding with Adam on the queries of training episodes.

    Args:
        method: The method.
        tasks: The training tasks.
    """
    optimizer = tasks.keep(torch.optim.Adam(method.parameters(), lr=method.lr))
    ways = method.train_ways or method.problem.ways
    for batch in tasks.batches(method.tasks, ways=ways, queries=method.train_queries):
        rate = method.lr * hold_then_linear(tasks.progress, method.hold)
        for group in optimizer.param_groups:
            group["lr"] = rate
        support, query, targets = _embed_episode(method, batch)
        logits = method.classifier(support, support.x)(query)
        loss = method.episode_loss(logits, targets).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tasks.log(loss)


def _embed_episode(method: MetricBased, batch: TaskBatch) -> tuple[Support, Tensor, Tensor]:
    """Returns embedded support sets, embedded queries and their labels."""
    # One pass for support and query: batch norm sees the whole episode, as in the papers' code.
    x = torch.cat([batch.support_x, batch.query_x], dim=1)
    sizes = [batch.support_x.shape[1], batch.query_x.shape[1]]
    support_features, query = method.features(x).split(sizes, dim=1)
    support = Support(support_features, batch.support_y, batch.ways)
    if method.turns:
        return rotate_support(support, query, batch.query_y)
    return support, query, batch.query_y


def rotate_support(
    support: Support, query: Tensor, targets: Tensor
) -> tuple[Support, Tensor, Tensor]:
    """Let every embedded example serve as support once.

    One pass through the backbone then makes not one but (shots + queries) / shots episodes of each
    task, rounded down, with disjoint support sets. They are episodes like any, so the expected
    gradient is unchanged; its variance falls at next to no cost.

    Args:
        support: Embeddings of ``T`` support sets with as many shots of each class,
            ``[T, S, features]``.
        query: Embeddings of as many queries of each class, ``[T, Q, features]``.
        targets: Their labels, ``[T, Q]``.

    Returns:
        The same three for ``T`` times as many tasks.
    """
    ways = support.ways
    by_class = torch.cat(
        [_by_class(support.x, support.y, ways), _by_class(query, targets, ways)], dim=2
    )
    shots, examples = support.x.shape[1] // ways, by_class.shape[2]
    starts = range(0, examples - shots + 1, shots)
    rotated = torch.cat([by_class.roll(-start, dims=2) for start in starts])
    support_y, query_y = (
        torch.arange(ways, device=query.device).repeat_interleave(count).expand(len(rotated), -1)
        for count in (shots, examples - shots)
    )
    return (
        Support(rotated[:, :, :shots].flatten(1, 2), support_y, ways),
        rotated[:, :, shots:].flatten(1, 2),
        query_y,
    )


def _by_class(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """Reorder ``[T, B, features]`` to ``[T, ways, B / ways, features]``."""
    order = labels.argsort(dim=1, stable=True).unsqueeze(-1).expand_as(features)
    return features.gather(1, order).view(len(features), ways, -1, features.shape[-1])


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Returns squared distances ``[..., A, B]`` of ``[..., A, F]`` and ``[..., B, F]``."""
    cross = a @ b.transpose(-1, -2)
    return a.square().sum(-1).unsqueeze(-1) - 2 * cross + b.square().sum(-1).unsqueeze(-2)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Returns cosine similarities ``[..., A, B]`` of ``[..., A, F]`` and ``[..., B, F]``."""
    similarities: Tensor = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).transpose(-1, -2)
    return similarities
