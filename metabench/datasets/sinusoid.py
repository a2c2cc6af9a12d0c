"""The sinusoid regression tasks of MAML."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from metabench.datasets.base import TaskFamily


class Sinusoid(TaskFamily):
    r"""Sine waves of random amplitude and phase.

    .. math::
        y = A \sin(x - \varphi), \quad
        A \sim U[0.1, 5], \; \varphi \sim U[0, \pi], \; x \sim U[-5, 5]

    The mean squared error of predicting zero is :math:`E[A^2] / 2 = 4.252`; that of the best
    predictor without adaptation is 3.006.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.1.
    """

    name: ClassVar[str] = "sinusoid"
    version: ClassVar[str] = "1"
    input_shape: ClassVar[tuple[int, ...]] = (1,)
    outputs: ClassVar[int] = 1
    parameters: ClassVar[int] = 2

    def evaluate(self, parameters: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform numbers to sine waves; see :class:`TaskFamily`."""
        amplitude = (0.1 + 4.9 * parameters[:, 0])[:, None, None]
        phase = (math.pi * parameters[:, 1])[:, None, None]
        x = 10 * inputs - 5
        return x, amplitude * torch.sin(x - phase)
