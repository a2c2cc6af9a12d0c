"""Guessing: the floor that everything must beat."""

from __future__ import annotations

from typing import ClassVar

import torch

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Support


class RandomGuess(Algorithm):
    """Guess: uniformly random logits for every query; in regression predict zero.

    Its accuracy is 1 / ways, give or take its interval, so it shows what chance looks like. The logits come
    from PyTorch's generator and are drawn anew whenever the predictor is asked.

    Measured: leaderboards/omniglot (5-way 20.0) and leaderboards/core (5-way glyphs: 20.4 and 20.7; sinusoid,
    by predicting zero, 4.14).
    """

    name: ClassVar[str] = "random"
    differentiable = False

    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        del support
        draw = torch.zeros if self.problem.regression else torch.rand
        return lambda query: draw(
            len(query), self.problem.outputs, dtype=query.dtype, device=query.device
        )
