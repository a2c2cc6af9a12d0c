"""Intervals of ranks, from the comparison of every two algorithms of a table at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metabench.stats.bootstrap import Bootstrap

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Of the largest mean. Means of the same scores in another order are equal.
_ROUNDING = 1e-12


class RankIntervals(NamedTuple):
    """What a table can tell about the order of its algorithms.

    Attributes:
        low: The best rank that each may have, ``[K]``; 1 is the best of all.
        high: The worst rank that each may have, ``[K]``.
        level: 1 for those that nothing is told to be better than, else one more than the highest
            level of those that are, ``[K]``. The largest is the length of the longest chain of
            algorithms each told to be better than the next.
        better: Whether the algorithm of a row is told to be better than that of a column,
            ``[K, K]``: with the given confidence all of these statements are true at once.
        probability: The probability that the algorithm of a row is better than that of a column,
            each pair by itself, ``[K, K]``: the share of the resamples in which it is.
    """

    low: list[int]
    high: list[int]
    level: list[int]
    better: BoolArray
    probability: FloatArray


def rank_intervals(
    found: Bootstrap, *, higher_is_better: bool = True, confidence: float = 0.95
) -> RankIntervals:
    r"""Returns the interval of the rank of each algorithm, for all of them at once.

    The algorithm :math:`i` is told to be better than :math:`j` if

    .. math:: (\bar{x}_i - \bar{x}_j) / s_{ij} > q

    where :math:`q` is the quantile of the largest absolute value of this ratio over all pairs,
    in resamples around the truth; pairs that are told apart are then left out, and the quantile
    is taken again until no more are (step down). A rank lies between one more than the number of
    those told to be better, and K less the number of those told to be worse.

    The quantiles of resampled ranks would not do: where algorithms are nearly equal, the best of
    them was lucky, and its resampled ranks lie too far up.

    Args:
        found: The means and their resamples.
        higher_is_better: False for errors.
        confidence: The probability that all intervals cover their ranks.

    Reference: Mogstad, Romano, Shaikh, Wilhelm 2024, Inference for ranks, Review of Economic
    Studies 91(1); Romano and Wolf 2005, Econometrica 73(4) (step down).
    """
    sign = 1.0 if higher_is_better else -1.0
    means, deviations = sign * found.means, sign * found.deviations
    count = len(means)
    gaps = means[:, None] - means
    gaps[np.abs(gaps) <= _ROUNDING * np.abs(means).max(initial=0.0)] = 0.0
    ratios = _ratios(gaps, found.errors)
    better = _told_apart(ratios, deviations, found.errors, confidence)
    order = np.lexsort((np.arange(count), -means))
    return RankIntervals(
        (1 + better.sum(0)).tolist(),
        (count - better.sum(1)).tolist(),
        _levels(better, order),
        better,
        _probabilities(means, deviations),
    )


def _ratios(gaps: FloatArray, errors: FloatArray) -> FloatArray:
    """Returns gaps over standard errors; without an error any gap is infinitely many of them."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gaps == 0, 0.0, gaps / errors)


def _told_apart(
    ratios: FloatArray, deviations: FloatArray, errors: FloatArray, confidence: float
) -> BoolArray:
    """Returns which pairs are told apart, better first, by the step-down procedure."""
    better = np.zeros(ratios.shape, dtype=bool)
    open_pairs = np.triu(np.ones_like(better), 1)
    # Step down (Romano and Wolf 2005, algorithm 4.1): a pair that is told apart no longer widens
    # the quantile for the others.
    while open_pairs.any():
        largest = _largest(deviations, errors, open_pairs)
        # The next resample above, because an interpolated quantile would be too small.
        quantile = float(np.quantile(largest, confidence, method="higher"))
        found = (ratios > quantile) & (open_pairs | open_pairs.T)
        if not found.any():
            break
        better |= found
        open_pairs &= ~(found | found.T)
    return better


def _largest(deviations: FloatArray, errors: FloatArray, pairs: BoolArray) -> FloatArray:
    """Returns the largest absolute ratio over some pairs in each resample, ``[B]``."""
    columns = _columns(deviations)
    largest = np.zeros(columns.shape[1], dtype=np.float32)
    for i in range(len(columns)):
        others = np.flatnonzero(pairs[i] & (errors[i] > 0))
        if len(others):
            ratio = columns[others]
            ratio -= columns[i]
            np.abs(ratio, out=ratio)
            ratio /= errors[i, others, None].astype(np.float32)
            np.maximum(largest, ratio.max(0), out=largest)
    return largest.astype(np.float64)


def _levels(better: BoolArray, order: NDArray[np.intp]) -> list[int]:
    level = np.ones(len(order), dtype=int)
    for i in order.tolist():  # best first: those told to be better have their level
        above = level[better[:, i]]
        level[i] = 1 + int(above.max(initial=0))
    return [int(one) for one in level]


def _probabilities(means: FloatArray, deviations: FloatArray) -> FloatArray:
    columns = _columns(means + deviations)
    found = np.full((len(means), len(means)), 0.5)
    for i in range(len(means) - 1):
        rest = columns[i + 1 :]
        # A tie counts for both sides by half.
        lead = np.count_nonzero(columns[i] > rest, 1) - np.count_nonzero(columns[i] < rest, 1)
        wins = 0.5 + lead / (2 * len(deviations))
        found[i, i + 1 :], found[i + 1 :, i] = wins, 1 - wins
    return found


def _columns(resamples: FloatArray) -> NDArray[np.float32]:
    """Returns what distinguishes the algorithms in each resample, in half the memory, ``[K, B]``.

    What all have in common would take the digits of the differences.
    """
    own = resamples - resamples.mean(1, keepdims=True)
    return np.ascontiguousarray(own.T, dtype=np.float32)
