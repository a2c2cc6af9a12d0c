"""Matching Networks. Measured and tried: docs/algorithms/matchingnet.md."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.full_context import FullContext
from metabench.learning.metric_based import (
    Classifier,
    MetricBased,
    cosines,
    squared_distances,
    train_embedding,
)
from metabench.learning.predictors import over_tasks


@hyperparameters
class MatchingNet(MetricBased):
    r"""A query takes the labels of the support examples that it attends to.

    .. math::
        p(y = k \mid x) = \sum_{i: y_i = k} a(x, x_i), \qquad
        a(x, x_i) = \frac{e^{\,s \cos(f(x), g(x_i))}}{\sum_j e^{\,s \cos(f(x), g(x_j))}}

    Without full-context embeddings (FCE) ``f = g`` is the backbone; with them both also see the
    whole support set, in the order in which its examples are given, but never a label.

    Reference: Vinyals et al. 2016, arXiv:1606.04080, equations 1 to 6 and appendix A.
    Deviates:
        * The scale ``s`` starts at 10 and is learned; the paper has 1, where the softmax stays
          almost flat and training is slow (docs/algorithms/matchingnet.md).
        * Training episodes have more classes than those at test.
    """

    name: ClassVar[str] = "matchingnet"
    version: ClassVar[str] = "2"

    distance: Literal["cosine", "l2"] = "cosine"  # l2: minus the squared distance, without a scale
    fce: bool = False  # whether there are full-context embeddings
    fce_steps: int = 5  # steps in which a query reads the support set (K in the paper)
    scale: float = 10.0  # initial scale of the cosines; the paper has 1
    learn_scale: bool = True  # whether the scale is learned; the paper does not

    def __post_init__(self) -> None:
        super().__post_init__()
        log_scale = torch.tensor(self.scale).log()
        self.log_scale = nn.Parameter(log_scale, requires_grad=self.learn_scale)
        self.context = FullContext(self.embed.features, self.fce_steps) if self.fce else None

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        train_embedding(self, tasks)

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        classify = self.classifier(support, self.features(support.x))
        return lambda query: classify(self.features(query))

    def classifier(self, support: Support, features: Tensor) -> Classifier:
        """See :class:`MetricBased`; the logits are log-probabilities up to a constant."""
        keys = features if self.context is None else self.context.support(features)

        def classify(query: Tensor) -> Tensor:
            if self.context is not None:
                query = self.context.query(query, keys)
            return log_attention(self._similarities(query, keys), support.y, support.ways)

        return classify

    def _similarities(self, query: Tensor, keys: Tensor) -> Tensor:
        if self.distance == "l2":
            return -squared_distances(query, keys)
        return self.log_scale.exp() * cosines(query, keys)


def log_attention(similarities: Tensor, labels: Tensor, ways: int) -> Tensor:
    """Returns the logarithm of each class's attention, up to a constant for each query.

    Args:
        similarities: ``[T, Q, S]``.
        labels: int64 ``[T, S]``.
        ways: The number of classes.

    Returns:
        ``[T, Q, ways]``.
    """
    index = labels.unsqueeze(1).expand_as(similarities)
    # Not minus infinity: a class without support examples, which label noise can make, has a logit.
    limits = torch.finfo(similarities.dtype)
    with torch.no_grad():  # subtracted before the exponential and added after it: no derivative
        peaks = similarities.new_full((*similarities.shape[:2], ways), limits.min)
        peaks = peaks.scatter_reduce(2, index, similarities, "amax")
        own = peaks.gather(2, index)
    members = F.one_hot(labels, ways).to(similarities.dtype)
    return ((similarities - own).exp() @ members).clamp(min=limits.tiny).log() + peaks
