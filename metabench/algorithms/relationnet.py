"""Relation Networks. Measured and tried: docs/algorithms/relationnet.md."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.errors import NotApplicable, UsageError
from metabench.learning.metric_based import Classifier, MetricBased, train_embedding
from metabench.learning.predictors import over_tasks


@hyperparameters
class RelationNet(MetricBased):
    r"""Learn the comparison itself, as a network on pairs of embeddings.

    .. math::
        r_k(x) = g_\phi\left(\left[\textstyle\frac{1}{K} \sum_{i: y_i = k} f_\theta(x_i),\;
        f_\theta(x)\right]\right), \qquad
        \min_{\theta, \phi} \; (1 - r_y)^2 + \tfrac{1}{N - 1} \textstyle\sum_{k \ne y} r_k^2

    The relation score is in 0..1; the predictor returns its log-odds, which do not saturate.

    Reference: Sung et al. 2018, arXiv:1711.06025, equations 1 and 2 and figure 2, and its code
    (floodsung/LearningToCompare_FSL).
    Deviates:
        * The mean of a class where the paper has the sum: a network that was trained with one shot
          would read a sum of five as another scale. For one number of shots both are the same up
          to the scale of weights.
        * The right pair weighs as much as all wrong ones together; in the paper as much as one.
        * Rate 3e-3 and 64 hidden units (1e-3 and 8); more classes in training than at test.
        * Batch norm's running statistics at test; the code uses those of the test batch.
        * No gradient clipping; a fraction of the paper's million episodes.

    Raises:
        NotApplicable: If the problem is regression, or its inputs are not images.
        UsageError: If the backbone has no ``maps``.
    """

    name: ClassVar[str] = "relationnet"
    version: ClassVar[str] = "3"

    hidden: int = 64  # width of the fully connected layer
    train_ways: int = 20  # classes in a training episode; 0: as at test
    train_queries: int = 10  # queries for each class in a training episode
    lr: float = 3e-3  # learning rate of Adam
    turns: bool = False  # whether every example serves as support once; costs as much each time
    backbone: str = "conv4-maps"  # the embedding network, with a `maps` attribute

    def __post_init__(self) -> None:
        if not self.problem.regression and not self.problem.images:
            raise NotApplicable(
                "relationnet compares maps, and the inputs of this benchmark are no images."
            )
        super().__post_init__()
        maps = getattr(self.embed, "maps", None)
        if maps is None:
            raise UsageError(
                f"relationnet compares maps, and the backbone '{self.backbone}' gives none.",
                hint="The backbone 'conv4-maps' does.",
            )
        self.relation = Relation(maps, self.hidden)

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
        means = support.class_means(features)
        return lambda query: self.relation(means, query)

    def episode_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the squared error of the right score plus the mean one of the wrong scores."""
        ways = logits.shape[-1]
        errors = (logits.sigmoid() - F.one_hot(targets, ways)).square()
        right = errors.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        wrong = (errors.sum(-1) - right) / (ways - 1)
        return (right + wrong).mean(-1)


class Relation(nn.Module):
    """The relation module: two convolutional blocks and two linear layers on a pair of maps.

    Args:
        maps: The shape of an embedding, ``(channels, height, width)``.
        hidden: The width of the fully connected layer.
    """

    def __init__(self, maps: tuple[int, int, int], hidden: int) -> None:
        super().__init__()
        self.maps = maps
        channels, height, width = maps
        # The first convolution is linear in the pair, so its two halves are applied before maps are
        # paired: N + Q convolutions instead of N * Q, the same numbers.
        self.of_class = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.of_query = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.of_pair = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        for convolution in (self.of_class, self.of_query, self.of_pair):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        self.norm1 = nn.BatchNorm2d(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.hidden = nn.Linear(channels * (height // 4) * (width // 4), hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, classes: Tensor, queries: Tensor) -> Tensor:
        """Map ``[T, N, features]`` and ``[T, Q, features]`` to log-odds ``[T, Q, N]``."""
        # Task by task: all pairs of a batch of tasks would not fit into memory.
        return torch.stack([self._task(n, q) for n, q in zip(classes, queries, strict=True)])

    def _task(self, classes: Tensor, queries: Tensor) -> Tensor:
        pairs = self._convolve(self.of_query, queries).unsqueeze(1) + self._convolve(
            self.of_class, classes
        )
        x = F.relu(F.max_pool2d(self.norm1(pairs.flatten(0, 1)), 2))
        x = F.relu(F.max_pool2d(self.norm2(self.of_pair(x)), 2))
        scores: Tensor = self.score(F.relu(self.hidden(x.flatten(1))))
        return scores.view(len(queries), len(classes))

    def _convolve(self, convolution: nn.Conv2d, features: Tensor) -> Tensor:
        maps: Tensor = convolution(features.view(-1, *self.maps))
        return maps
