"""Reptile from a head of zeros. Measured and tried: docs/algorithms/reptile-zero-head.md."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from metabench.algorithms.base import hyperparameters
from metabench.algorithms.reptile import Reptile
from metabench.learning.inner_loop import Params
from metabench.learning.zero_head import ZeroHead


@hyperparameters
class ReptileZeroHead(ZeroHead, Reptile):
    """Reptile from a head of zeros, see :class:`~metabench.learning.zero_head.ZeroHead`.

    All columns of the head have the same second moments.

    Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367; Ye and Chao 2022, arXiv:2106.16245.
    """

    name: ClassVar[str] = "reptile-zero-head"
    version: ClassVar[str] = "1"

    def moments_for(self, ways: int) -> Params:
        """See :class:`Reptile`."""
        moments = super().moments_for(ways)
        for name in moments:
            if not self.learner.is_learned(name):
                one = moments[name][..., :1] * self._moment_scale(ways)
                moments[name] = one.expand(*one.shape[:-1], ways)
        return moments

    def kept_moment(self, name: str, moment: Tensor, ways: int) -> Tensor:
        """See :class:`Reptile`; all classes get the mean, for their numbers mean nothing."""
        if self.learner.is_learned(name):
            return moment
        mean = moment.mean(-1, keepdim=True) / self._moment_scale(ways)
        return mean.expand(*mean.shape[:-1], self.problem.ways)

    def _moment_scale(self, ways: int) -> float:
        """Returns the scale of the head's second moments, which is 1 with ``train_ways``."""
        # A mean loss gives each of N classes a gradient in proportion to 1 / N.
        return ((self.train_ways or self.problem.ways) / ways) ** 2
