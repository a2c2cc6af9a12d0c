"""Ranks: shared within a benchmark by what cannot be told apart, averaged over benchmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabench.stats.permutation import holm, pairwise_permutation_tests

FEWEST_BENCHMARKS = 5
"""With fewer benchmarks ranks over them are no evidence, and :func:`friedman` refuses."""

_SPARE = 4
"""The least p-value that is drawn, after the correction, is this part of the level."""


def shared_ranks(
    scores: ArrayLike,
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
) -> list[int]:
    r"""The ranks of algorithms on one benchmark, shared by those that cannot be told apart.

    Down the list from the best mean, an algorithm shares the rank of those above it as long as it cannot be
    told from the *best of these*; the first that can be begins a new group, and its rank is its place. So

    * of those who share a rank none is shown to be worse than the best of them;
    * the first of each rank is shown to be worse than the first of the rank before;
    * a better mean never has the worse rank, and equal means have the same.

    Two are told apart when the paired permutation test of them says so at level ``alpha`` after Holm's
    correction over all :math:`K (K - 1) / 2` pairs of the table. Not being told apart is not transitive: the
    last of one rank may well not be told from the first of the next. The trained models are taken as given;
    what meta-training again would change is for :func:`~metabench.stats.seed_sd` to say.

    >>> shared_ranks([[9, 9, 8, 9, 9, 8, 9, 9, 8, 9], [9, 8, 9, 9, 9, 8, 9, 8, 9, 9], [1] * 10])
    [1, 1, 3]

    Args:
        scores: one row for each algorithm, on the same episodes: ``[K, E]``.
        higher_is_better: false for errors.
        alpha: the chance that any two which are equally good are told apart.
        resamples: see :func:`~metabench.stats.permutation_test`; more where the correction over many pairs
            would leave no p-value below ``alpha``.
        seed: see there.

    Returns:
        The rank of each algorithm, in the order of the rows.

    Raises:
        ValueError: there is no episode, or a score is not finite.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"scores are [algorithms, episodes], and these are {table.shape}")
    if not higher_is_better:
        table = -table
    pairs = len(table) * (len(table) - 1) // 2
    resamples = max(resamples, math.ceil(_SPARE * pairs / alpha))
    p_values = pairwise_permutation_tests(table, resamples=resamples, seed=seed)
    corrected = holm(list(p_values.values()))
    told_apart = {pair for pair, p in zip(p_values, corrected, strict=True) if p < alpha}
    means = table.mean(1)
    ranks = [1] * len(table)
    best: list[int] = []
    rank = 1
    for mean in sorted(set(means.tolist()), reverse=True):
        equals = np.flatnonzero(means == mean).tolist()
        if not best or any((min(i, j), max(i, j)) in told_apart for i in best for j in equals):
            best, rank = equals, 1 + int((means > mean).sum())
        for i in equals:
            ranks[i] = rank
    return ranks


def average_ranks(scores: ArrayLike, *, higher_is_better: bool = True) -> list[float]:
    """The mean over benchmarks of each algorithm's rank; equal scores share the mean of their ranks.

    >>> average_ranks([[0.9, 0.8, 0.7], [0.9, 0.9, 0.7]])
    [1.25, 1.75, 3.0]

    Args:
        scores: one row for each benchmark, ``[N, K]``: every algorithm on every benchmark.
        higher_is_better: false for errors; where benchmarks differ in it, change the sign of the errors.

    Returns:
        The average ranks, ``[K]``; 1 is the best.

    Raises:
        ValueError: there is no score, or one is not finite.

    Reference: Demšar 2006, Statistical comparisons of classifiers over multiple data sets, JMLR 7.
    """
    from scipy import stats  # here: it takes a second to import

    table = _benchmark_table(scores, higher_is_better)
    ranks: list[float] = stats.rankdata(-table, axis=1).mean(0).tolist()
    return ranks


class Friedman(NamedTuple):
    """Whether algorithms differ over benchmarks.

    Attributes:
        statistic: Friedman's chi-squared, corrected for ties.
        p_value: its p-value, by the chi-squared distribution with K - 1 degrees of freedom.
        ranks: the average ranks.
        critical_difference: average ranks that lie farther apart than this differ (Nemenyi).
    """

    statistic: float
    p_value: float
    ranks: list[float]
    critical_difference: float


def friedman(scores: ArrayLike, *, higher_is_better: bool = True, alpha: float = 0.05) -> Friedman:
    r"""Friedman's test over benchmarks, with Nemenyi's critical difference of average ranks.

    .. math::
        \chi^2_F = \frac{12 N}{K (K + 1)} \left[\sum_j R_j^2 - \frac{K (K + 1)^2}{4}\right], \qquad
        \text{CD} = \frac{q_{\alpha, K, \infty}}{\sqrt{2}} \sqrt{\frac{K (K + 1)}{6 N}}

    The critical difference says which algorithms differ only where the test says that any do.

    >>> table = [[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.9, 0.7, 0.8], [0.6, 0.5, 0.4], [0.9, 0.8, 0.6]]
    >>> found = friedman(table)
    >>> print(f"chi2 {found.statistic:.1f}, p {found.p_value:.3f}, CD {found.critical_difference:.2f}")
    chi2 8.4, p 0.015, CD 1.48

    Args:
        scores: one row for each benchmark, ``[N, K]``.
        higher_is_better: see :func:`average_ranks`.
        alpha: the level of the critical difference.

    Raises:
        ValueError: there are fewer than :data:`FEWEST_BENCHMARKS` benchmarks or three algorithms, or a score
            is not finite.

    Reference: Demšar 2006, JMLR 7, section 3.2.2; his rule of thumb for the chi-squared distribution is
    N > 10 and K > 5, below which the p-value is rough.
    """
    from scipy import stats  # here: it takes a second to import

    table = _benchmark_table(scores, higher_is_better)
    n, k = table.shape
    if n < FEWEST_BENCHMARKS or k < 3:
        raise ValueError(
            f"ranks over {n} benchmarks of {k} algorithms are no evidence: it takes {FEWEST_BENCHMARKS} and 3"
        )
    ranks = average_ranks(table)
    quantile = float(stats.studentized_range.ppf(1 - alpha, k, np.inf))
    critical = quantile / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
    if np.ptp(table, axis=1).max() == 0:
        return Friedman(0.0, 1.0, ranks, critical)  # nothing but ties, where the statistic is 0 / 0
    found = stats.friedmanchisquare(*table.T)
    return Friedman(float(found.statistic), float(found.pvalue), ranks, critical)


def tied_groups(ranks: Sequence[float], critical_difference: float) -> list[list[int]]:
    """The largest groups of algorithms that the critical difference does not tell apart: a diagram's bars.

    >>> tied_groups([1.2, 3.5, 1.9, 2.6], 1.0)
    [[0, 2], [2, 3], [3, 1]]

    Args:
        ranks: the average rank of each algorithm.
        critical_difference: see :class:`Friedman`.

    Returns:
        For each group of two or more its members, the best first; groups may overlap.
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
            "scores are finite and [benchmarks, algorithms], every algorithm on every benchmark"
        )
    return table if higher_is_better else -table
