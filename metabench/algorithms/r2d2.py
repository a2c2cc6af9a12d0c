"""R2-D2: ridge regression, differentiable and in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.learning.embedding_recipe import embedding_recipe
from metabench.learning.metric_based import Classifier, Episodic


def ridge(x: Tensor, y: Tensor, penalty: Tensor) -> Tensor:
    r"""Ridge regression in closed form, by whichever of two equal forms has the smaller system.

    .. math:: W = (X^\top X + \lambda I)^{-1} X^\top Y = X^\top (X X^\top + \lambda I)^{-1} Y

    Args:
        x: ``[..., S, features]``.
        y: ``[..., S, outputs]``.
        penalty: :math:`\lambda`, positive; one number.

    Returns:
        ``[..., features, outputs]``.
    """
    examples, features = x.shape[-2:]
    transposed = x.transpose(-1, -2)
    eye = penalty * torch.eye(min(examples, features), dtype=x.dtype, device=x.device)
    weight: Tensor
    if examples < features:
        weight = transposed @ torch.linalg.solve(x @ transposed + eye, y)
    else:
        weight = torch.linalg.solve(transposed @ x + eye, transposed @ y)
    return weight


class R2D2(Episodic):
    r"""R2-D2: a ridge regression head on the embedding, solved in closed form inside the loop.

    .. math::
        W = X^\top (X X^\top + S \lambda I)^{-1} Y, \qquad \text{logits} = \alpha\, x W + \beta

    X holds the S support embeddings with a column of ones, Y their one-hot labels. The outer loss is the
    cross-entropy of the logits; it learns the embedding, the penalty lambda and the scale alpha.

    Reference: Bertinetto et al. 2019, arXiv:1805.08136, equations 4 to 7 and its code (bertinetto/r2d2).
    Measured: leaderboards/omniglot (5-way 1-shot 98.2 and 5-shot 99.5, 20-way 1-shot 94.4 and 5-shot 98.3;
    the paper's Omniglot figures are for a network of another size).
    Deviates: lambda and alpha are learned as logarithms, so that they stay positive and move at a useful
    pace under Adam; the paper varies the shots in training.

    Args:
        problem: what it is built for.
        penalty: the initial lambda, for one support example.
        scale: the initial alpha.
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

    name: ClassVar[str] = "r2d2"

    def __init__(
        self,
        problem: Problem,
        *,
        penalty: float = 1.0,
        scale: float = 10.0,
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
        self.log_penalty = nn.Parameter(torch.tensor(penalty).log())
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.bias = nn.Parameter(torch.zeros(()))

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """The episodes of Prototypical Networks, and as many: it is to be trained in minutes."""
        return embedding_recipe(problem, ways=60, queries=5)

    def classifier(self, support: Support, features: Tensor) -> Classifier:
        """See :class:`Episodic`."""
        penalty = self.log_penalty.exp() * features.shape[-2]
        weight = ridge(_with_ones(features), support.one_hot.to(features.dtype), penalty)
        return lambda query: self.log_scale.exp() * (_with_ones(query) @ weight) + self.bias


def _with_ones(features: Tensor) -> Tensor:
    return F.pad(features, (0, 1), value=1.0)
