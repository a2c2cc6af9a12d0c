"""MAML from a head of zeros. Measured and tried: docs/algorithms/maml-zero-head.md."""

from __future__ import annotations

from typing import ClassVar

from metabench.algorithms.base import hyperparameters
from metabench.algorithms.maml import MAML
from metabench.learning.zero_head import ZeroHead


@hyperparameters
class MAMLZeroHead(ZeroHead, MAML):
    """MAML from a head of zeros, see :class:`~metabench.learning.zero_head.ZeroHead`.

    The inner rate is for an episode with as many classes as at meta-test.

    Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367; Ye and Chao 2022, arXiv:2106.16245.
    """

    name: ClassVar[str] = "maml-zero-head"
    version: ClassVar[str] = "1"
