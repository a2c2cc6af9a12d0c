"""R2-D2. Measured and tried: docs/algorithms/r2d2.md."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.metric_based import Classifier, MetricBased, train_embedding
from metabench.learning.predictors import over_tasks


@hyperparameters
class R2D2(MetricBased):
    r"""A ridge regression head on the embedding, solved in closed form inside the loop.

    .. math::
        W = X^\top (X X^\top + S \lambda I)^{-1} Y, \qquad \text{logits} = \alpha\, x W + \beta

    X holds the S support embeddings with a column of ones, Y their one-hot labels. The outer loss
    is the cross-entropy of the logits; it learns the embedding, :math:`\lambda`, :math:`\alpha` and
    :math:`\beta`.

    Reference: Bertinetto et al. 2019, arXiv:1805.08136, equations 4 to 7; bertinetto/r2d2.
    Deviates:
        * :math:`\lambda` and :math:`\alpha` are learned as logarithms, so that they stay positive.
        * The paper varies the shots in training.
    """

    name: ClassVar[str] = "r2d2"
    version: ClassVar[str] = "2"

    penalty: float = 1.0  # initial lambda for one support example
    scale: float = 10.0  # initial alpha

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log_penalty = nn.Parameter(torch.tensor(self.penalty).log())
        self.log_scale = nn.Parameter(torch.tensor(self.scale).log())
        self.bias = nn.Parameter(torch.zeros(()))

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
        penalty = self.log_penalty.exp() * features.shape[-2]
        weight = ridge(_with_ones(features), support.one_hot.to(features.dtype), penalty)
        return lambda query: self.log_scale.exp() * (_with_ones(query) @ weight) + self.bias


def ridge(x: Tensor, y: Tensor, penalty: Tensor) -> Tensor:
    r"""Solve ridge regression by whichever of two equal forms has the smaller system.

    .. math:: W = (X^\top X + \lambda I)^{-1} X^\top Y = X^\top (X X^\top + \lambda I)^{-1} Y

    Args:
        x: ``[..., S, features]``.
        y: ``[..., S, outputs]``.
        penalty: :math:`\lambda`, one positive number.

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


def _with_ones(features: Tensor) -> Tensor:
    return F.pad(features, (0, 1), value=1.0)
