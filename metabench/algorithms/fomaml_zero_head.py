"""FOMAML from a head of zeros. Measured and tried: docs/algorithms/fomaml-zero-head.md."""

from __future__ import annotations

from typing import ClassVar

from metabench.algorithms.base import hyperparameters
from metabench.algorithms.maml import MAML
from metabench.learning.zero_head import ZeroHead


@hyperparameters
class FOMAMLZeroHead(ZeroHead, MAML):
    """First-order MAML from a head of zeros, see :class:`~metabench.learning.zero_head.ZeroHead`.

    Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367; Ye and Chao 2022, arXiv:2106.16245.
    """

    name: ClassVar[str] = "fomaml-zero-head"
    version: ClassVar[str] = "1"
    second_order: ClassVar[bool] = False
