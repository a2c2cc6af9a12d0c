"""Guessing at random. Measured: docs/algorithms/random.md."""

from __future__ import annotations

from typing import ClassVar

import torch

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Support


class RandomGuess(Algorithm):
    """Baseline: uniformly random logits for every query; in regression predict zero.

    Its accuracy is 1 / ways up to its interval: chance. The logits are drawn from PyTorch's
    generator whenever the predictor is called.
    """

    name: ClassVar[str] = "random"
    differentiable = False

    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        del support
        draw = torch.zeros if self.problem.regression else torch.rand
        outputs = self.problem.outputs
        return lambda query: draw(len(query), outputs, dtype=query.dtype, device=query.device)
