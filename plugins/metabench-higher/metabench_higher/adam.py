"""MAML through a differentiable Adam by higher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from metabench import MAML, Problem
from metabench_higher.maml import HigherMAML

INNER_LR = 0.01
"""Adam's steps have about the size of its rate whatever the gradients are, so it is not SGD's."""


class HigherAdam(HigherMAML):
    r"""MAML whose inner loop is Adam, differentiated through by higher: moments, root, division and all.

    .. math::
        \theta' = \theta - \alpha \frac{\sqrt{1 - \beta_2^n}}{1 - \beta_1^n} \frac{m}{\sqrt{v} + \epsilon}

    The trap: where a second moment :math:`v` is zero (a dead unit, a pixel that is blank in all of the
    support set) the root has no slope, and 0 times infinity is not a number. higher 0.2.1 sets those
    gradients to zero, which is their limit, as long as the graph is differentiated once; the tests hold it
    to that.

    The moments are each task's own and start at zero. Everything else is :class:`HigherMAML`'s,
    hyper-parameters and recipe among it, but for the inner learning rate.

    Reference: Kingma and Ba 2015, arXiv:1412.6980; Grefenstette et al. 2019, arXiv:1910.01727.
    """

    name: ClassVar[str] = "higher-adam"

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, bool | int | float | str]:
        """MAML's, with a learning rate for Adam."""
        return {**MAML.recipe(problem), "inner_lr": INNER_LR}

    def optimizer(self, adapted: list[nn.Parameter], factor: float) -> torch.optim.Optimizer:
        """Adam, as PyTorch's defaults have it, whose steps do not depend on the scale of the loss."""
        return torch.optim.Adam(adapted, lr=self.inner_lr)
