"""The task encoder: a support set, as a set, becomes one vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metabench.algorithms.problem import Problem
from metabench.episodes import Support


class TaskEncoder(nn.Module):
    r"""A permutation-invariant encoder of support sets.

    .. math:: z = \rho\left(\tfrac{1}{S} \textstyle\sum_i \varphi([e_i, t_i])\right)

    In classification :math:`e_i` is the embedding of an example, by a backbone of the encoder's
    own, and :math:`t_i` the mean embedding of its class: which examples belong together enters, and
    how their class is numbered does not. In regression they are the input and the target.

    Reference: Zaheer et al. 2017, arXiv:1703.06114 (sums over sets).

    Args:
        problem: The problem.
        size: The length of a task vector.
        hidden: The width of the hidden layers.
        backbone: The name of the backbone; by default the benchmark's own.
    """

    def __init__(self, problem: Problem, *, size: int, hidden: int, backbone: str = "") -> None:
        super().__init__()
        if problem.regression:
            self.backbone = None
            inputs = math.prod(problem.input_shape) + problem.outputs
        else:
            self.backbone = problem.backbone(backbone)
            inputs = 2 * self.backbone.features
        self.each = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.all = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, size))

    def forward(self, support: Support) -> Tensor:
        """Map ``T`` support sets to task vectors ``[T, size]``."""
        if self.backbone is None:
            examples = torch.cat([support.x.flatten(2), support.y], dim=-1)
        else:
            embedded = self.backbone(support.x.flatten(0, 1)).view(*support.y.shape, -1)
            means = support.class_means(embedded)
            own = means.gather(1, support.y.unsqueeze(-1).expand_as(embedded))
            examples = torch.cat([embedded, own], dim=-1)
        vectors: Tensor = self.all(self.each(examples).mean(1))
        return vectors
