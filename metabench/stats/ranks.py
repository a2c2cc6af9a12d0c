"""Ranks over several benchmarks: averages, and tests of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_BENCHMARKS = 5
"""Fewer benchmarks are no evidence: :func:`friedman` refuses them."""


def average_ranks(scores: ArrayLike, *, higher_is_better: bool = True) -> list[float]:
    """Returns each algorithm's mean rank over benchmarks; ties share the mean of their ranks.

    >>> average_ranks([[0.9, 0.8, 0.7], [0.9, 0.9, 0.7]])
    [1.25, 1.75, 3.0]

    Args:
        scores: The score of every algorithm on every benchmark, ``[N, K]``.
        higher_is_better: False for errors. If benchmarks differ in this, negate the errors.

    Returns:
        The average ranks, ``[K]``; 1 is the best.

    Raises:
        ValueError: If there is no score, or one is not finite.

    Reference: Demšar 2006, Statistical comparisons of classifiers over multiple data sets, JMLR 7.
    """
    from scipy import stats  # not at the top: it takes a second to import

    table = _benchmark_table(scores, higher_is_better)
    ranks: list[float] = stats.rankdata(-table, axis=1).mean(0).tolist()
    return ranks


class Friedman(NamedTuple):
    """The result of Friedman's test, with Nemenyi's critical difference.

    Attributes:
        statistic: Friedman's chi-squared, corrected for ties.
        p_value: Its p-value, of the chi-squared distribution with K - 1 degrees of freedom.
        ranks: The average ranks.
        critical_difference: Average ranks that are farther apart than this differ.
    """

    statistic: float
    p_value: float
    ranks: list[float]
    critical_difference: float


def friedman(scores: ArrayLike, *, higher_is_better: bool = True, alpha: float = 0.05) -> Friedman:
    r"""Returns Friedman's test over benchmarks, with Nemenyi's critical difference.

    .. math::
        \chi^2_F = \frac{12 N}{K (K + 1)} \left[\sum_j R_j^2 - \frac{K (K + 1)^2}{4}\right], \qquad
        \text{CD} = \frac{q_{\alpha, K, \infty}}{\sqrt{2}} \sqrt{\frac{K (K + 1)}{6 N}}

    Use the critical difference only if the test is significant.

    >>> table = [[9, 8, 7], [8, 7, 6], [9, 7, 8], [6, 5, 4], [9, 8, 6]]
    >>> found = friedman(table)
    >>> print(f"chi2 {found.statistic:.1f}, p {found.p_value:.3f}")
    chi2 8.4, p 0.015

    Args:
        scores: The score of every algorithm on every benchmark, ``[N, K]``.
        higher_is_better: See :func:`average_ranks`.
        alpha: The level of the critical difference.

    Raises:
        ValueError: If there are fewer than :data:`FEWEST_BENCHMARKS` benchmarks or three
            algorithms, or a score is not finite.

    Reference: Demšar 2006, JMLR 7, section 3.2.2 (the p-value is rough below N = 10 and K = 5).
    """
    from scipy import stats  # not at the top: it takes a second to import

    table = _benchmark_table(scores, higher_is_better)
    n, k = table.shape
    if n < FEWEST_BENCHMARKS or k < 3:
        raise ValueError(
            f"{n} benchmarks of {k} algorithms are no evidence: at least {FEWEST_BENCHMARKS} "
            "benchmarks and 3 algorithms are needed"
        )
    ranks = average_ranks(table)
    quantile = float(stats.studentized_range.ppf(1 - alpha, k, np.inf))
    critical = quantile / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
    if np.ptp(table, axis=1).max() == 0:
        return Friedman(0.0, 1.0, ranks, critical)  # the statistic of ties alone is 0 / 0
    found = stats.friedmanchisquare(*table.T)
    return Friedman(float(found.statistic), float(found.pvalue), ranks, critical)


def tied_groups(ranks: Sequence[float], critical_difference: float) -> list[list[int]]:
    """Returns the largest groups of algorithms within a critical difference.

    >>> tied_groups([1.2, 3.5, 1.9, 2.6], 1.0)
    [[0, 2], [2, 3], [3, 1]]

    Args:
        ranks: The average rank of each algorithm.
        critical_difference: See :class:`Friedman`.

    Returns:
        The members of each group of two or more, best first. Groups may overlap.
    """
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    groups: list[list[int]] = []
    for start, first in enumerate(order):
        group = [i for i in order[start:] if ranks[i] - ranks[first] <= critical_difference]
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return groups


def _benchmark_table(scores: ArrayLike, higher_is_better: bool) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(
            "scores must be finite and [benchmarks, algorithms]: every algorithm on every benchmark"
        )
    return table if higher_is_better else -table
