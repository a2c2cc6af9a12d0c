"""Ranks within a benchmark, shared by algorithms without a significant difference, and over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabench.stats.permutation import holm, pairwise_permutation_tests

FEWEST_BENCHMARKS = 5
"""Fewer benchmarks are no evidence: :func:`friedman` refuses them."""

# The least possible p-value, after the correction, is a quarter of the level.
_MARGIN = 4


def shared_ranks(
    scores: ArrayLike,
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
) -> list[int]:
    r"""Returns the ranks of algorithms on one benchmark, shared if they are not distinguished.

    Two are distinguished if their paired permutation test is significant at level ``alpha`` after
    Holm's correction over all :math:`K (K - 1) / 2` pairs. From the best mean down, an algorithm
    shares a rank unless it is distinguished from the best of that rank; then its rank is its place.
    So the first of each rank is shown to be worse than the first of the rank before, while the
    last of one rank may not be distinguished from the first of the next.

    >>> shared_ranks([[9, 9, 8, 9, 9, 8, 9, 9, 8, 9], [9, 8, 9, 9, 9, 8, 9, 8, 9, 9], [1] * 10])
    [1, 1, 3]

    Args:
        scores: The scores of each algorithm on the same episodes, ``[K, E]``.
        higher_is_better: False for errors.
        alpha: The probability of distinguishing any two equally good algorithms.
        resamples: See :func:`~metabench.stats.permutation_test`; raised if the correction over
            many pairs would leave no p-value below ``alpha``.
        seed: See :func:`~metabench.stats.permutation_test`.

    Returns:
        The rank of each algorithm, in the order of the rows.

    Raises:
        ValueError: If there is no episode, or a score is not finite.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"scores must be [algorithms, episodes]; they are {table.shape}")
    if not higher_is_better:
        table = -table
    pairs = len(table) * (len(table) - 1) // 2
    resamples = max(resamples, math.ceil(_MARGIN * pairs / alpha))
    p_values = pairwise_permutation_tests(table, resamples=resamples, seed=seed)
    corrected = holm(list(p_values.values()))
    distinguished = {pair for pair, p in zip(p_values, corrected, strict=True) if p < alpha}
    means = table.mean(1)
    ranks = [1] * len(table)
    best: list[int] = []
    rank = 1
    for mean in sorted(set(means.tolist()), reverse=True):
        equals = np.flatnonzero(means == mean).tolist()
        if not best or any((min(i, j), max(i, j)) in distinguished for i in best for j in equals):
            best, rank = equals, 1 + int((means > mean).sum())
        for i in equals:
            ranks[i] = rank
    return ranks


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
