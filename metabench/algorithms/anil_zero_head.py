"""ANIL from a head of zeros. Measured and tried: docs/algorithms/anil-zero-head.md."""

from __future__ import annotations

from typing import ClassVar

from metabench.algorithms.anil import ANIL
from metabench.algorithms.base import hyperparameters
from metabench.learning.zero_head import ZeroHead


@hyperparameters
class ANILZeroHead(ZeroHead, ANIL):
    """ANIL from a head of zeros, see :class:`~metabench.learning.zero_head.ZeroHead`.

    The body alone is learned.

    Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367; Ye and Chao 2022, arXiv:2106.16245.
    """

    name: ClassVar[str] = "anil-zero-head"
    version: ClassVar[str] = "1"
