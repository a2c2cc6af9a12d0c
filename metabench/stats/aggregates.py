"""Scores over several benchmarks: the interquartile mean, profiles and average ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabench.stats.bootstrap import Bootstrap
from metabench.stats.rank_intervals import rank_intervals

FloatArray = NDArray[np.float64]


def interquartile_mean(runs: ArrayLike) -> FloatArray:
    """Returns the mean of the middle half of the runs.

    >>> float(interquartile_mean([0.0, 0.5, 0.7, 0.9]))
    0.6

    Args:
        runs: The scores of all seeds on all benchmarks, ``[R, ...]``.

    Returns:
        The mean over the first axis, ``[...]``.

    Raises:
        ValueError: If there is no run.

    Reference: Agarwal et al. 2021, Deep reinforcement learning at the edge of the statistical
    precipice, arXiv:2108.13264 (rliable).
    """
    ordered = np.sort(np.asarray(runs, dtype=np.float64), axis=0)
    if not len(ordered):
        raise ValueError("an interquartile mean needs at least one run")
    cut = len(ordered) // 4  # rounded down, as scipy.stats.trim_mean and rliable do
    return np.asarray(ordered[cut : len(ordered) - cut].mean(0))


def interquartile_interval(
    runs: Sequence[FloatArray], deviations: FloatArray, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of the interquartile mean over benchmarks.

    Each resample moves the seeds of a benchmark by the deviation of their mean.

    Args:
        runs: The mean score of each seed, by benchmark: ``N`` arrays ``[S_n]``.
        deviations: The resampled deviations of the mean of each benchmark
            (:class:`~metabench.stats.Bootstrap`), ``[N, B]``.
        confidence: The probability that the interval covers the true value.
    """
    moved = [one[:, None] + row for one, row in zip(runs, deviations, strict=True)]
    found = interquartile_mean(np.concatenate(moved))
    low, high = np.quantile(found, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def performance_profile(runs: ArrayLike, thresholds: ArrayLike) -> list[float]:
    """Returns the share of runs that score above each threshold.

    >>> performance_profile([0.2, 0.6, 0.9, 0.9], [0.0, 0.5, 0.9])
    [1.0, 0.75, 0.0]

    Args:
        runs: The scores of all seeds on all benchmarks, ``[R]``.
        thresholds: The thresholds, ``[T]``.

    Reference: Dolan and Moré 2002; Agarwal et al. 2021, arXiv:2108.13264, section 4.2.
    """
    scores = np.asarray(runs, dtype=np.float64)
    shares: list[float] = (scores[:, None] > np.asarray(thresholds)).mean(0).tolist()
    return shares


def average_rank_intervals(
    benchmarks: Sequence[Bootstrap],
    higher_is_better: Sequence[bool],
    *,
    confidence: float = 0.95,
) -> list[tuple[float, float]]:
    """Returns the interval of the average rank of each algorithm, for all of them at once.

    It is the average of the rank intervals on each benchmark, at a level that is corrected for
    their number after Bonferroni, so it holds whatever the benchmarks have in common.

    Args:
        benchmarks: The resampled scores on each benchmark, of the same algorithms.
        higher_is_better: Whether a higher score is better, by benchmark.
        confidence: The probability that all intervals cover the average of the true ranks.
    """
    # Bonferroni: the quantiles of resampled average ranks would not cover, because the best of
    # nearly equal algorithms was lucky on every benchmark.
    corrected = 1 - (1 - confidence) / len(benchmarks)
    found = [
        rank_intervals(one, higher_is_better=higher, confidence=corrected)
        for one, higher in zip(benchmarks, higher_is_better, strict=True)
    ]
    low = np.mean([one.low for one in found], axis=0)
    high = np.mean([one.high for one in found], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
