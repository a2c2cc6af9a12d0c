"""Matching Networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.learning.embedding_recipe import embedding_recipe
from metabench.learning.full_context import FullContext
from metabench.learning.metric_based import Classifier, Episodic, cosines, squared_distances


class MatchingNet(Episodic):
    r"""Matching Networks: a query takes the labels of the support examples that it attends to.

    .. math::
        p(y = k \mid x) = \sum_{i: y_i = k} a(x, x_i), \qquad
        a(x, x_i) = \frac{e^{\,s \cos(f(x), g(x_i))}}{\sum_j e^{\,s \cos(f(x), g(x_j))}}

    Without full-context embeddings ``f = g`` is the backbone; with them both also see the whole support set
    (:class:`FullContext`). The bidirectional LSTM reads the support examples in the order that they are given
    in. It never sees a label, so how classes are numbered does not matter; the order of the examples does.

    Why the cosine is slow in re-implementations: the paper has :math:`s = 1`. Cosines of a network that ends
    in a ReLU lie in [0, 1], so of N classes the right one gets at most :math:`e / (e + N - 1)`, which is 0.40
    for 5 and 0.04 for 60. The loss hardly moves from :math:`\log N`, and since the softmax stays almost flat,
    a class that is told apart already pulls as strongly as one that is confused: the loss is nearly linear,
    the mean of the cosines to all other classes less that to the right one, and hard pairs get no weight of
    their own. Here the scale :math:`s` starts at 10 and is learned, as its logarithm. On Omniglot, after 600
    training episodes of 20 classes: 76.6 % with s = 1, 79.5 % where it is learned from 1 (Adam moves it too
    slowly), 92.2 % from 10; ProtoNet 93.3 % (5-way 1-shot, meta-validation).

    Reference: Vinyals et al. 2016, arXiv:1606.04080, equations 1 to 6 and appendix A.
    Measured: leaderboards/omniglot (5-way 1-shot, paper 98.1, where four million examples bring 98.9; 20-way
    1-shot 95.7, paper 93.8; 5-shot 99.4 and 98.4, paper 98.9 and 98.5).
    Deviates: the learned scale; training episodes of more classes than at test.

    Args:
        problem: what it is built for.
        distance: ``cosine``, or ``l2`` for minus the squared Euclidean distance, which needs no scale.
        fce: whether there are full-context embeddings.
        fce_steps: the steps in which a query reads the support set (K in the paper).
        scale: the initial scale of the cosines.
        learn_scale: whether the scale is learned; the paper is ``scale=1`` without.
        train_ways: classes in a training episode; more than at test makes a better embedding.
        train_queries: queries for each class in a training episode.
        tasks: episodes in an outer step.
        lr: Adam's learning rate.
        hold: the share of the budget after which the learning rate falls linearly to 0.
        turns: whether every example takes its turn in the support set.
        shift: how many pixels training images are moved at most.
        mirror: whether half of the classes of a training episode are mirrored.
        backbone: the embedding network; by default the benchmark's own.
    """

    name: ClassVar[str] = "matchingnet"

    def __init__(
        self,
        problem: Problem,
        *,
        distance: Literal["cosine", "l2"] = "cosine",
        fce: bool = False,
        fce_steps: int = 5,
        scale: float = 10.0,
        learn_scale: bool = True,
        train_ways: int = 60,
        train_queries: int = 5,
        tasks: int = 1,
        lr: float = 2e-3,
        hold: float = 0.5,
        turns: bool = True,
        shift: int = 1,
        mirror: bool = True,
        backbone: str = "",
    ) -> None:
        super().__init__(
            problem,
            train_ways=train_ways,
            train_queries=train_queries,
            tasks=tasks,
            lr=lr,
            hold=hold,
            turns=turns,
            shift=shift,
            mirror=mirror,
            backbone=backbone,
        )
        self.distance = distance
        self.log_scale = nn.Parameter(torch.tensor(scale).log(), requires_grad=learn_scale)
        self.context = FullContext(self.embed.features, fce_steps) if fce else None

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """Fewer classes where there are more shots, so that an episode costs about the same; minutes."""
        return embedding_recipe(problem, ways=60 if problem.shots < 5 else 30, queries=5)

    def classifier(self, support: Support, features: Tensor) -> Classifier:
        """See :class:`Episodic`: the logits are the log-probabilities up to a constant."""
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
    """The logarithm of the attention that each class gets, up to a constant for each query.

    Args:
        similarities: ``[T, Q, S]``.
        labels: int64 ``[T, S]``.
        ways: how many classes there are.

    Returns:
        ``[T, Q, ways]``.
    """
    index = labels.unsqueeze(1).expand_as(similarities)
    # Not minus infinity: a class with no support example, as label noise can leave it, still has a logit.
    limits = torch.finfo(similarities.dtype)
    with (
        torch.no_grad()
    ):  # what is taken off before the exponential and put back after it has no slope
        peaks = similarities.new_full((*similarities.shape[:2], ways), limits.min)
        peaks = peaks.scatter_reduce(2, index, similarities, "amax")
        own = peaks.gather(2, index)
    members = F.one_hot(labels, ways).to(similarities.dtype)
    return ((similarities - own).exp() @ members).clamp(min=limits.tiny).log() + peaks
