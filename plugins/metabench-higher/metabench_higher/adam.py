"""MAML through a differentiable Adam, by higher."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from metabench_higher.maml import HigherMAML


class HigherAdam(HigherMAML):
    r"""MAML whose inner loop is Adam, differentiated through by higher.

    .. math::
        \theta' = \theta
        - \alpha \frac{\sqrt{1 - \beta_2^n}}{1 - \beta_1^n} \frac{m}{\sqrt{v} + \epsilon}

    Where a second moment :math:`v` is zero (a dead unit, a pixel that is blank in the whole support
    set) the root has no derivative, and 0 times infinity is not a number. higher 0.2.1 sets those
    gradients to zero, their limit, as long as the graph is differentiated once; tests check that.

    Each task has its own moments, which start at zero. Everything else is that of
    :class:`HigherMAML`, but for the inner learning rate of the recipe.

    Reference: Kingma and Ba 2015, arXiv:1412.6980; Grefenstette et al. 2019, arXiv:1910.01727.
    """

    name: ClassVar[str] = "higher-adam"

    def optimizer(self, adapted: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Return Adam with PyTorch's defaults, whose steps do not depend on the loss's scale."""
        return torch.optim.Adam(adapted, lr=self.inner_lr)
