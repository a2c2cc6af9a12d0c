"""The interval over episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Interval(NamedTuple):
    """A mean with its confidence interval.

    Attributes:
        mean: The mean over the episodes.
        half_width: Half the width of the interval; NaN for fewer than two episodes.
    """

    mean: float
    half_width: float


def t_interval(scores: Sequence[float], *, confidence: float = 0.95) -> Interval:
    r"""Returns the mean over the episodes with Student's t-interval.

    .. math:: \bar{x} \pm t_{n-1} \, s / \sqrt{n}

    The test classes are taken as given: for new classes the interval is too narrow
    (arXiv:2409.02850), see :func:`~metabench.stats.class_interval`.

    >>> t_interval([0.5, 0.5, 1.0, 1.0])
    Interval(mean=0.75, half_width=0.459...)

    Args:
        scores: The score of each episode, ``[n]``.
        confidence: The probability that the interval covers the true mean.

    Raises:
        ValueError: If there is no score.
    """
    if not len(scores):
        raise ValueError("an interval needs at least one score")
    values = np.asarray(scores, dtype=np.float64)
    n = len(values)
    if n < 2:
        return Interval(float(values.mean()), math.nan)
    # scipy.special, because scipy.stats takes a second to import.
    quantile = float(special.stdtrit(n - 1, 0.5 + confidence / 2))
    return Interval(float(values.mean()), float(quantile * values.std(ddof=1) / math.sqrt(n)))
