"""The interval over classes: the mean on new classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]

_CHUNK = 2**21  # resampled values at a time: 16 MiB


class ClassInterval(NamedTuple):
    """A mean with its confidence interval for new classes.

    Attributes:
        mean: The mean over the episodes.
        low: The lower end.
        high: The upper end.
        classes: The number of test classes in the episodes.
    """

    mean: float
    low: float
    high: float
    classes: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval; the mean need not be in its middle."""
        return (self.high - self.low) / 2


def class_interval(
    classes: ArrayLike,
    class_hits: ArrayLike,
    *,
    queries: int,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> ClassInterval:
    r"""Returns the mean accuracy with its interval for new test classes: a bootstrap of classes.

    The score of an episode is modelled by effects of its ``m`` classes and a residual,

    .. math:: x_e = \mu + \frac{1}{m} \sum_{k=1}^{m} u_{c_{ek}} + \varepsilon_e

    >>> classes = [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3], [1, 2]]
    >>> hits = [[9, 9], [5, 5], [9, 6], [8, 5], [9, 5], [8, 6]]
    >>> interval = class_interval(classes, hits, queries=10)
    >>> print(f"{interval.mean:.2f}, from {interval.low:.2f} to {interval.high:.2f}")
    0.70, from 0.43 to 0.98

    Args:
        classes: The classes of each episode, integers ``[E, m]``.
        class_hits: The number of correctly classified queries of each, ``[E, m]``.
        queries: The number of queries of each class in an episode.
        confidence: The probability that the interval covers the mean over all classes.
        resamples: The number of bootstrap resamples.
        seed: The seed of the bootstrap.

    Raises:
        ValueError: If the shapes differ, or there are fewer than two episodes or sets of classes.

    Reference: Carpenter, Goldstein, Rasbash 2003 (bootstrap of rescaled effects); arXiv:2409.02850.
    """
    shown, hits = np.asarray(classes), np.asarray(class_hits, dtype=np.float64)
    if shown.ndim != 2 or shown.shape != hits.shape or len(shown) < 2:
        raise ValueError(
            "classes and hits must be [episodes, ways] with at least two episodes; they are "
            f"{shown.shape} and {hits.shape}"
        )
    episodes, ways = shown.shape
    names, index = np.unique(shown, return_inverse=True)
    index = index.reshape(shown.shape)
    if len(names) <= ways:
        raise ValueError("every episode has the same classes, which tell nothing about others")
    scores = hits.sum(1) / (ways * queries)
    mean = float(scores.mean())
    times = np.bincount(index.ravel(), minlength=len(names)).astype(np.float64)
    effects = _effects(scores, index, times)
    upper = 0.5 + confidence / 2
    # Student's quantile over the normal one: few classes say little of how much classes differ.
    small = float(special.stdtrit(len(names) - 1, upper) / special.ndtri(upper))
    residuals = scores - mean - effects[index].mean(1)
    # Var x = Var u / m + Var eps. The raw residuals also hold the noise of the estimated effects.
    residuals = _rescaled(residuals, max(0.0, float(scores.var(ddof=1) - effects.var() / ways)))
    rng = np.random.default_rng(seed)
    # mu* = mean + t/z sum_c n_c/N u*_c + 1/E sum_e eps*_e, with n_c episodes of class c of N = mE.
    means = mean + small * _resampled(effects, times / times.sum(), resamples, rng)
    means += _resampled(residuals, np.full(episodes, 1 / episodes), resamples, rng)
    low, high = np.quantile(means, [1 - upper, upper])
    return ClassInterval(mean, float(low), float(high), len(names))


def _effects(scores: FloatArray, index: NDArray[np.int64], times: FloatArray) -> FloatArray:
    """Returns the effect of each class, scaled to the estimated variance of effects: ``[C]``.

    The effect of a class is its mean score over *all* queries of the episodes that show it: the
    queries of other classes that are mistaken for it count as well.
    """
    ways, shown, count = index.shape[1], times.sum(), len(times)
    if shown == count:  # no class is shown twice, so the episodes are independent
        return np.zeros(count)
    sums = np.bincount(index.ravel(), weights=np.repeat(scores, ways), minlength=count)
    of_class = sums / times
    # Analysis of variance: what the noise of so few episodes adds to the variance of the class
    # means is subtracted,
    #   var u = factor^2 (sum_c n_c (h_c - mean)^2 - (C - m) tau^2) / (N - sum_c n_c^2 / N).
    within = float(np.square(scores[:, None] - of_class[index]).sum()) / (shown - count)
    between = float((times * np.square(of_class - scores.mean())).sum()) - (count - ways) * within
    # An episode that shows an easy class has fewer places for other easy ones.
    factor = ways * (count - 1) / (count - ways)
    variance = factor**2 * between / (shown - float(np.square(times).sum()) / shown)
    return _rescaled(of_class - scores.mean(), max(0.0, variance))


def _rescaled(values: FloatArray, variance: float) -> FloatArray:
    """Returns the values, centred and scaled to a variance."""
    centred = values - values.mean()
    spread = float(centred.std())
    # Rounding errors of equal values must not be scaled up.
    scale = np.sqrt(variance) / spread if spread > 1e-12 else 0.0
    return np.asarray(centred * scale)


def _resampled(
    values: FloatArray, weights: FloatArray, resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Returns weighted sums of values drawn with replacement, ``[resamples]``."""
    chunk = max(1, _CHUNK // len(values))
    parts = [
        values[rng.integers(len(values), size=(min(chunk, resamples - start), len(values)))]
        @ weights
        for start in range(0, resamples, chunk)
    ]
    return np.concatenate(parts)
