"""Adam for the inner loops of many tasks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metabench.learning.inner_loop import Params

EPS = 1e-8
"""Added to the root of the second moments, as in PyTorch."""


class Adam:
    r"""Adam for ``T`` tasks at once, each with its own moments; differentiable.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        \Delta = \frac{\alpha \, m / (1 - \beta_1^n)}{\sqrt{v / (1 - \beta_2^n)} + \epsilon}

    Reference: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.

    Args:
        rate: The learning rate.
        beta1: Decay of the first moments.
        beta2: Decay of the second moments.
        second_moments: Initial second moments, ``[T, ...]`` or without the task dimension; zeros
            by default.
        steps: The number of steps that the initial second moments have seen.

    Attributes:
        second_moments: The second moments by parameter name, ``[T, ...]``.
        steps: The number of steps that they have seen.
    """

    def __init__(
        self,
        rate: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        second_moments: Mapping[str, Tensor] | None = None,
        steps: int = 0,
    ) -> None:
        self.rate = rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.second_moments = dict(second_moments or {})
        self.steps = steps
        self._first_moments: Params = {}
        self._own_steps = 0

    def __call__(self, gradients: Params) -> Params:
        """Returns the updates to subtract."""
        self.steps += 1
        self._own_steps += 1
        rate = self.rate / (1 - self.beta1**self._own_steps)
        correction = 1 / (1 - self.beta2**self.steps)
        updates = {}
        for name, gradient in gradients.items():
            zero = torch.zeros_like(gradient)
            first = torch.lerp(gradient, self._first_moments.get(name, zero), self.beta1)
            second = torch.lerp(gradient.square(), self.second_moments.get(name, zero), self.beta2)
            self._first_moments[name], self.second_moments[name] = first, second
            # The root has no derivative at 0, which attacks on the support set would meet.
            deviation = (correction * second).clamp(min=EPS**3).sqrt()
            updates[name] = rate * first / (deviation + EPS)
        return updates
