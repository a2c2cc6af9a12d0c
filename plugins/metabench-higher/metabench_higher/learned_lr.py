"""MAML with learned inner learning rates, by higher."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from metabench_higher.maml import HigherMAML


class HigherLearnedLR(HigherMAML):
    r"""MAML that learns an inner learning rate for each parameter tensor, by higher's ``override``.

    .. math::
        \theta'_{t,j} = \theta_j - \alpha_j \nabla_{\theta_j} L^\text{support}_t(\theta), \qquad
        (\theta, \alpha) \leftarrow (\theta, \alpha)
        - \beta \nabla_{(\theta, \alpha)} \textstyle\sum_t L^\text{query}_t(\theta'_t)

    The rates start at ``inner_lr`` and are trained with the initialisation. Everything else is that
    of :class:`HigherMAML`.

    Reference: Between Li et al. 2017, arXiv:1707.09835 and Antoniou, Edwards and Storkey 2019,
    arXiv:1810.09502, section 4: a rate for each tensor, the same in every step; Grefenstette et al.
    2019, arXiv:1910.01727.
    """

    name: ClassVar[str] = "higher-learned-lr"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rates = nn.ParameterList(
            torch.tensor(self.inner_lr) for _ in self.adapted(self.learner)
        )

    def optimizer(self, adapted: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Return SGD with a group, and so with a rate, for each parameter."""
        return torch.optim.SGD([{"params": [p]} for p in adapted], lr=self.inner_lr)

    def override(self) -> dict[str, list[Any]]:
        """Return the learned rates; they are constants in evaluation."""
        return {"lr": [rate if self.training else rate.detach() for rate in self.rates]}
