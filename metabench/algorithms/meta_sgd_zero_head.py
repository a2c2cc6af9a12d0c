"""Meta-SGD from a head of zeros. Measured and tried: docs/algorithms/meta-sgd-zero-head.md."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from metabench.algorithms.base import hyperparameters
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.learning.zero_head import ZeroHead


@hyperparameters
class MetaSGDZeroHead(ZeroHead, MetaSGD):
    """Meta-SGD from a head of zeros, see :class:`~metabench.learning.zero_head.ZeroHead`.

    All columns of the head have the same rates. One inner step from zeros moves nothing but the
    head, so the recipe takes two.

    Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367; Ye and Chao 2022, arXiv:2106.16245.
    """

    name: ClassVar[str] = "meta-sgd-zero-head"
    version: ClassVar[str] = "1"

    def rate_shape(self, name: str, parameter: Tensor) -> tuple[int, ...]:
        """See :class:`MetaSGD`; one rate for all classes, which the method treats alike."""
        shape = super().rate_shape(name, parameter)
        return shape if self.learner.is_learned(name) else (*shape[:-1], 1)
