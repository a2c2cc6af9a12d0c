"""The interval over episodes, and intervals of shares, which stay within 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
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
    quantile = t_quantile(confidence, n - 1)
    return Interval(float(values.mean()), quantile * float(values.std(ddof=1)) / math.sqrt(n))


def score_interval(
    scores: ArrayLike, *, share: bool, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the ends of the interval over the episodes.

    Of :func:`share_interval` for shares, so that they lie within 0 and 1, else of
    :func:`t_interval`.

    >>> score_interval([1.0, 1.0, 1.0, 0.5], share=True)
    (0.315..., 0.990...)

    Args:
        scores: The score of each episode, ``[n]``, at least two.
        share: Whether the scores are shares between 0 and 1.
        confidence: The probability that the interval covers the true mean.
    """
    values = np.asarray(scores, dtype=np.float64)
    mean, half_width = t_interval(values.tolist(), confidence=confidence)
    if not share:
        return mean - half_width, mean + half_width
    n = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(n)
    return share_interval(mean, error, freedom=n - 1, units=n, confidence=confidence)


def share_interval(
    mean: float, error: float, *, freedom: float, units: int, confidence: float = 0.95
) -> tuple[float, float]:
    r"""Returns the interval of a mean share; it lies within 0 and 1.

    Wilson's interval with the effective number of trials, and Student's quantile for the normal:

    .. math:: \frac{\bar{x} + t^2 / 2n \pm t \sqrt{\bar{x} (1 - \bar{x}) / n + t^2 / 4 n^2}}
        {1 + t^2 / n}, \qquad n = \bar{x} (1 - \bar{x}) / s^2

    With a small error it equals :math:`\bar{x} \pm t s`. Where all shares are 0 or 1, and the error
    tells nothing, each independent unit counts as one trial.

    >>> ["{:.3f}".format(end) for end in share_interval(0.9, 0.01, freedom=599, units=600)]
    ['0.879', '0.918']
    >>> ["{:.3f}".format(end) for end in share_interval(1.0, 0.0, freedom=599, units=600)]
    ['0.994', '1.000']

    Args:
        mean: The mean, between 0 and 1.
        error: Its standard error.
        freedom: The degrees of freedom of the error.
        units: The number of independent units, such as episodes.
        confidence: The probability that the interval covers the true share.

    Reference: Wilson 1927, JASA 22; Dean and Pagano 2015, Evaluating confidence interval methods
    for binomial proportions in clustered surveys, Journal of Survey Statistics and Methodology 3.
    """
    spread = mean * (1 - mean)
    if spread > 0 and error == 0:
        return mean, mean
    trials = spread / error**2 if spread > 0 else float(units)
    t2 = t_quantile(confidence, freedom) ** 2
    centre = mean + t2 / (2 * trials)
    half = math.sqrt(t2 * (spread / trials + t2 / (4 * trials**2)))
    scale = 1 + t2 / trials
    # Rounding must not put an end beyond the mean or beyond 0 and 1.
    low, high = max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
    return min(low, mean), max(high, mean)


def t_quantile(confidence: float, freedom: float) -> float:
    """Returns the quantile of Student's t-distribution that bounds a two-sided interval."""
    # scipy.special, because scipy.stats takes a second to import.
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))
