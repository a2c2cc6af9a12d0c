"""The paired permutation test, and Holm's correction for several tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Alternative = Literal["two-sided", "less", "greater"]

EXACT = 16
"""Up to this many non-zero differences, the test enumerates all 2^n sign patterns."""

_CHUNK = 2**22  # signs at a time: 32 MiB
# Of the sum of magnitudes. Scores are counts divided by queries, so sums often tie exactly, and
# a tie must not depend on rounding.
_ROUNDING = 1e-9


def permutation_test(
    differences: Sequence[float],
    *,
    alternative: Alternative = "two-sided",
    resamples: int = 9999,
    seed: int = 0,
) -> float:
    r"""Returns the p-value of the paired permutation test of a mean difference of 0.

    If the two scores of a pair are exchangeable, all patterns of signs are equally likely:

    .. math:: p = P_{\sigma \sim \{-1, 1\}^n}\left(\left|\textstyle\sum_i \sigma_i d_i\right|
                  \ge \left|\textstyle\sum_i d_i\right|\right)

    >>> permutation_test([1.0, 1.0, 1.0, 1.0, 1.0])
    0.0625
    >>> permutation_test([1.0, 1.0, 1.0, 1.0, 1.0], alternative="greater")
    0.03125

    Args:
        differences: The difference of each pair, ``[n]``.
        alternative: The sign of the mean difference under the alternative hypothesis.
        resamples: The number of sign patterns to draw if they are not enumerated.
        seed: The seed of the patterns.

    Raises:
        ValueError: If there is no difference, one is not finite, or ``resamples`` is not positive.

    Reference: Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, section 3.2.
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
    """Returns :func:`permutation_test` of each row, with shared sign patterns.

    The p-value of a row does not depend on the other rows.

    >>> permutation_tests([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]])
    array([0.25, 1.  ])

    Args:
        differences: The differences, ``[rows, n]``.
        alternative: See :func:`permutation_test`.
        resamples: See :func:`permutation_test`.
        seed: See :func:`permutation_test`.

    Returns:
        The p-values, ``[rows]``.

    Raises:
        ValueError: See :func:`permutation_test`.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError("a permutation test needs at least one pair")
    if not np.isfinite(table).all():
        raise ValueError("a permutation test needs finite differences")
    if resamples < 1:
        raise ValueError(f"a permutation test needs at least one resample, not {resamples}")
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
    # The observed pattern is one of the patterns: without it the test rejects too often, and may
    # return 0 (Phipson and Smyth 2010, arXiv:1603.05766).
    found: NDArray[np.float64] = (1 + count) / (1 + resamples)
    return found


def _patterns(n: int, rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yields sign patterns ``[P, n]``, 0 for a flipped sign, in chunks that bound the memory."""
    rng = np.random.default_rng(seed)
    words = math.ceil(n / 64)  # whole words, so that the size of a chunk does not change the bits
    chunk = max(1, _CHUNK // max(n, rows))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = np.frombuffer(rng.bytes(size * words * 8), dtype=np.uint8).reshape(size, words * 8)
        yield np.unpackbits(drawn, axis=1, count=n)


def _extreme(
    patterns: NDArray[Any], table: NDArray[np.float64], alternative: Alternative
) -> NDArray[np.float64]:
    """Returns how many patterns ``[P, n]``, 0 for a flipped sign, are at least as extreme."""
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
    r"""Returns p-values after Holm's correction, to compare with the level of all tests together.

    .. math:: \tilde{p}_{(i)} = \min\left(1, \max_{j \le i} (m - j + 1) \, p_{(j)}\right)

    The probability of any false rejection is at most the level, for any dependence between tests.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Args:
        p_values: The p-values, ``[m]``.

    Returns:
        The corrected p-values in the same order.

    Raises:
        ValueError: If one of them is not between 0 and 1.

    Reference: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values must be between 0 and 1; they are {list(p_values)}")
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = largest
    return corrected
