"""The paired permutation test, and Holm's correction over a table of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Alternative = Literal["two-sided", "less", "greater"]

EXACT = 16
"""Up to this many differences that are not 0 all of their 2^n sign patterns are gone through."""

_CHUNK = 2**22  # signs at a time: 32 MiB
_ROUNDING = (
    1e-9  # of the sum of magnitudes: scores are counts over queries, so sums often tie exactly
)


def permutation_test(
    differences: Sequence[float],
    *,
    alternative: Alternative = "two-sided",
    resamples: int = 9999,
    seed: int = 0,
) -> float:
    r"""The p-value of paired differences: could the labels of the two sides be swapped in every pair?

    Under the null hypothesis the two scores of a pair are exchangeable, so every pattern of signs is equally
    likely:

    .. math:: p = P_{\sigma \sim \{-1, 1\}^n}\left(\left|\textstyle\sum_i \sigma_i d_i\right|
                  \ge \left|\textstyle\sum_i d_i\right|\right)

    With at most ``EXACT`` differences that are not 0 it goes through all patterns. With more it draws ``R``
    of them, and counts the observed one among them, :math:`p = (1 + \#)/(1 + R)`, without which the test
    would reject too often (and could say 0).

    >>> permutation_test([1.0, 1.0, 1.0, 1.0, 1.0])
    0.0625
    >>> permutation_test([1.0, 1.0, 1.0, 1.0, 1.0], alternative="greater")
    0.03125

    Args:
        differences: one for each pair, ``[n]``.
        alternative: what the mean of the differences is, where the null hypothesis is false.
        resamples: sign patterns that are drawn, where not all are gone through.
        seed: of those.

    Raises:
        ValueError: there is no difference, one is not finite, or ``resamples`` is not positive.

    Reference: Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, 3.2; Phipson and Smyth
    2010, arXiv:1603.05766 (the correction by 1).
    """
    found = permutation_tests(
        [differences], alternative=alternative, resamples=resamples, seed=seed
    )
    return float(found[0])


def permutation_tests(
    differences: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    resamples: int = 9999,
    seed: int = 0,
) -> NDArray[np.float64]:
    """:func:`permutation_test` of each row, all with the same sign patterns: many for little more than one.

    A row's p-value does not depend on the rows beside it.

    >>> permutation_tests([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]])
    array([0.25, 1.  ])

    Args:
        differences: ``[rows, n]``.
        alternative: see :func:`permutation_test`.
        resamples: see there.
        seed: see there.

    Returns:
        The p-values, ``[rows]``.

    Raises:
        ValueError: see :func:`permutation_test`.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError("a permutation test needs at least one pair")
    if not np.isfinite(table).all():
        raise ValueError("a permutation test needs finite differences")
    if resamples < 1:
        raise ValueError(
            f"a permutation test needs at least one resample, and {resamples} were asked for"
        )
    few = (table != 0).sum(1) <= EXACT
    p_values = np.ones(len(table))
    for row in np.flatnonzero(few):
        p_values[row] = _exact(table[row][table[row] != 0], alternative)
    if not few.all():
        p_values[~few] = _monte_carlo(table[~few], alternative, resamples, seed)
    return p_values


def _exact(row: NDArray[np.float64], alternative: Alternative) -> float:
    patterns = np.arange(2 ** len(row))[:, None] >> np.arange(len(row)) & 1
    return float(_extreme(patterns, row[None], alternative)[0] / len(patterns))


def _monte_carlo(
    table: NDArray[np.float64], alternative: Alternative, resamples: int, seed: int
) -> NDArray[np.float64]:
    count = np.zeros(len(table))
    for bits in _patterns(table.shape[1], len(table), resamples, seed):
        count += _extreme(bits, table, alternative)
    found: NDArray[np.float64] = (1 + count) / (1 + resamples)
    return found


def _patterns(n: int, rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Sign patterns ``[P, n]``, 0 for a sign that turns, in parts that leave room for their sums."""
    rng = np.random.default_rng(seed)
    words = math.ceil(
        n / 64
    )  # whole words for each pattern: then the chunks do not change the stream
    chunk = max(1, _CHUNK // max(n, rows))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = np.frombuffer(rng.bytes(size * words * 8), dtype=np.uint8).reshape(size, words * 8)
        yield np.unpackbits(drawn, axis=1, count=n)


def pairwise_permutation_tests(
    scores: ArrayLike, *, resamples: int = 9999, seed: int = 0
) -> dict[tuple[int, int], float]:
    """:func:`permutation_test` of every two rows, two-sided, all with the same sign patterns.

    The sum of a pair's differences under a pattern is the difference of two sums, so that K rows take K sums
    for each pattern, and not one for each of their K (K - 1) / 2 pairs.

    >>> pairwise_permutation_tests([[1, 2, 3], [0, 1, 2], [1, 2, 3]])
    {(0, 1): 0.25, (0, 2): 1.0, (1, 2): 0.25}

    Args:
        scores: ``[K, n]``.
        resamples: see :func:`permutation_test`.
        seed: see there.

    Returns:
        The p-value of each pair of rows, the smaller index first.

    Raises:
        ValueError: see there.
    """
    table = np.asarray(scores, dtype=np.float64)
    table = table - table.mean(0)  # changes no difference, and leaves its digits to them
    first, second = np.triu_indices(len(table), 1)
    differences = table[first] - table[second]
    if table.size and not np.isfinite(table).all():
        raise ValueError("a permutation test needs finite differences")
    few = (differences != 0).sum(1) <= EXACT
    p_values = np.ones(len(first))
    if few.any():
        p_values[few] = permutation_tests(differences[few])
    observed, slack = differences.sum(1), _ROUNDING * np.abs(differences).sum(1)
    if not few.all():
        count = np.zeros(len(first))
        for bits in _patterns(table.shape[1], len(first), resamples, seed):
            sums = bits.astype(np.float64) @ table.T
            turned = 2 * (sums[:, first] - sums[:, second]) - observed
            count += (np.abs(turned) >= np.abs(observed) - slack).sum(0)
        p_values[~few] = ((1 + count) / (1 + resamples))[~few]
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return dict(zip(pairs, p_values.tolist(), strict=True))


def _extreme(
    patterns: NDArray[Any], table: NDArray[np.float64], alternative: Alternative
) -> NDArray[np.float64]:
    """How many patterns ``[P, n]``, 0 for a sign that turns, are as extreme as what was observed."""
    observed = table.sum(1)
    sums = 2 * (patterns.astype(np.float64) @ table.T) - observed
    slack = _ROUNDING * np.abs(table).sum(1)
    match alternative:
        case "less":
            extreme = sums <= observed + slack
        case "greater":
            extreme = sums >= observed - slack
        case "two-sided":
            extreme = np.abs(sums) >= np.abs(observed) - slack
    return np.asarray(extreme.sum(0), dtype=np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Holm's correction: p-values of a table that may each be held against the same level.

    .. math:: \tilde{p}_{(i)} = \min\left(1, \max_{j \le i} (m - j + 1) \, p_{(j)}\right)

    Whatever the dependence between the tests, the chance of *any* false alarm in the table is at most the
    level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Args:
        p_values: ``[m]``.

    Returns:
        The corrected p-values in the same order; none is smaller than it was.

    Raises:
        ValueError: one of them is no number between 0 and 1.

    Reference: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("a p-value is a number between 0 and 1")
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = largest
    return corrected
