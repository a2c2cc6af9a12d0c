"""The interval over episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Interval(NamedTuple):
    """A mean with its 95 % interval.

    Attributes:
        mean: the mean over the episodes.
        half_width: half the width of the 95 % interval; NaN for fewer than two episodes.
    """

    mean: float
    half_width: float


def t_interval(scores: Sequence[float], *, confidence: float = 0.95) -> Interval:
    r"""The mean over episodes and half the width of its t-interval.

    .. math:: \bar{x} \pm t_{n-1} \, s / \sqrt{n}

    It takes the test classes as given: for *new classes* it is too narrow (arXiv:2409.02850), and
    :func:`~metabench.stats.class_interval` stands beside it.

    >>> t_interval([0.5, 0.5, 1.0, 1.0])
    Interval(mean=0.75, half_width=0.459...)

    Args:
        scores: one for each episode.
        confidence: the share of such intervals that hold the true mean.

    Raises:
        ValueError: there is no score.
    """
    if not len(scores):
        raise ValueError("an interval needs at least one score")
    values = np.asarray(scores, dtype=np.float64)
    n = len(values)
    if n < 2:
        return Interval(float(values.mean()), math.nan)
    quantile = float(
        special.stdtrit(n - 1, 0.5 + confidence / 2)
    )  # scipy.stats takes a second to import
    return Interval(float(values.mean()), float(quantile * values.std(ddof=1) / math.sqrt(n)))
