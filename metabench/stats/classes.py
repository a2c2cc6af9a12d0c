"""The interval over classes: what the mean would be on new ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]

_CHUNK = 2**21


class ClassInterval(NamedTuple):
    """A mean with its 95 % interval for new classes.

    Attributes:
        mean: the mean over the episodes, the same as without regard to classes.
        low: the lower end.
        high: the upper end.
        classes: how many test classes the episodes showed.
    """

    mean: float
    low: float
    high: float
    classes: int

    @property
    def half_width(self) -> float:
        """Half the distance between the ends, which need not lie equally far from the mean."""
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
    r"""The mean accuracy with its interval for *new test classes*, by a bootstrap over classes.

    Episodes drawn again and again from one finite pool of classes are no independent evidence about other
    classes: the interval over episodes shrinks to nothing as they are added, while the pool stays what it is.
    Here the score of an episode is taken as the effects of its classes and a rest,

    .. math:: x_e = \mu + \frac{1}{m} \sum_{k=1}^{m} u_{c_{ek}} + \varepsilon_e

    with :math:`m` ways and ``C`` classes. The effect of a class is seen in *every* score of the episodes that
    show it: its own queries count there, and so do the queries of others that are mistaken for it.

    1. With :math:`h_c` the mean score of the :math:`n_c` episodes that show class :math:`c`, and
       :math:`\tau^2` the pooled variance around these means, the variance of the effects is that of the
       :math:`h_c` less what the noise of so few episodes makes of it (analysis of variance, with
       :math:`N = mE` and :math:`\bar{x}` the mean of all episodes; 0 if negative):

       .. math:: \sigma_u^2 = \left(m \, \frac{C - 1}{C - m}\right)^2
                 \frac{\sum_c n_c (h_c - \bar{x})^2 - (C - m) \tau^2}{N - \sum_c n_c^2 / N}

       (An episode that shows a good class has less room for the other good ones: hence the factor.)
    2. The estimated effects :math:`h_c - \bar{x}` are scaled to that variance, and the rests to
       :math:`s^2 - \sigma_u^2 / m`: the raw ones would carry the noise twice.
    3. Each resample draws ``C`` effects and ``E`` rests with replacement,

       .. math:: \mu^* = \bar{x} + \frac{t_{C-1}}{z} \sum_c \frac{n_c}{N} u^*_c
                       + \frac{1}{E} \sum_e \varepsilon^*_e

       and the interval is between the quantiles of :math:`\mu^*`. (Student's quantile over the normal one:
       few classes say little of how far classes differ.)

    Where no class is shown twice the episodes are independent, and only the rests are resampled. The examples
    of a class are taken as given.

    >>> classes = [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3], [1, 2]]
    >>> hits = [[9, 9], [5, 5], [9, 6], [8, 5], [9, 5], [8, 6]]
    >>> interval = class_interval(classes, hits, queries=10)
    >>> print(f"{interval.mean:.2f}, from {interval.low:.2f} to {interval.high:.2f}")
    0.70, from 0.43 to 0.98

    Args:
        classes: the classes that each episode showed, integers ``[E, m]``.
        class_hits: how many queries of each were classified rightly, ``[E, m]``.
        queries: how many queries of each class there are in an episode.
        confidence: the share of such intervals that hold the mean over all classes.
        resamples: how many.
        seed: of those.

    Raises:
        ValueError: the shapes disagree, there are fewer than two episodes, or they all show the same classes.

    Reference: the question is that of arXiv:2409.02850, which answers it by drawing no class twice; the
    bootstrap of rescaled effects is that of Carpenter, Goldstein and Rasbash 2003, A novel bootstrap
    procedure for assessing the relationship between class size and achievement.
    """
    shown, hits = np.asarray(classes), np.asarray(class_hits, dtype=np.float64)
    if shown.ndim != 2 or shown.shape != hits.shape or len(shown) < 2:
        raise ValueError(
            f"classes and hits are [episodes, ways], at least two episodes: {shown.shape}, {hits.shape}"
        )
    episodes, ways = shown.shape
    names, index = np.unique(shown, return_inverse=True)
    index = index.reshape(shown.shape)
    if len(names) <= ways:
        raise ValueError("every episode shows the same classes: they say nothing about others")
    scores = hits.sum(1) / (ways * queries)
    mean = float(scores.mean())
    times = np.bincount(index.ravel(), minlength=len(names)).astype(np.float64)
    effects = _effects(scores, index, times)
    upper = 0.5 + confidence / 2
    small = float(special.stdtrit(len(names) - 1, upper) / special.ndtri(upper))
    rests = scores - mean - effects[index].mean(1)
    rests = _rescaled(rests, max(0.0, float(scores.var(ddof=1) - effects.var() / ways)))
    rng = np.random.default_rng(seed)
    means = mean + small * _resampled(effects, times / times.sum(), resamples, rng)
    means += _resampled(rests, np.full(episodes, 1 / episodes), resamples, rng)
    low, high = np.quantile(means, [1 - upper, upper])
    return ClassInterval(mean, float(low), float(high), len(names))


def _effects(scores: FloatArray, index: NDArray[np.int64], times: FloatArray) -> FloatArray:
    """The effect of each class, with the variance that effects have: ``[C]``."""
    ways, shown, count = index.shape[1], times.sum(), len(times)
    if shown == count:
        return np.zeros(count)
    sums = np.bincount(index.ravel(), weights=np.repeat(scores, ways), minlength=count)
    of_class = sums / times
    within = float(np.square(scores[:, None] - of_class[index]).sum()) / (shown - count)
    between = float((times * np.square(of_class - scores.mean())).sum()) - (count - ways) * within
    factor = ways * (count - 1) / (count - ways)
    variance = factor**2 * between / (shown - float(np.square(times).sum()) / shown)
    return _rescaled(of_class - scores.mean(), max(0.0, variance))


def _rescaled(values: FloatArray, variance: float) -> FloatArray:
    """The values around 0, with that variance."""
    centred = values - values.mean()
    spread = float(centred.std())
    # What is left of rounding has no direction to be stretched in.
    scale = np.sqrt(variance) / spread if spread > 1e-12 else 0.0
    return np.asarray(centred * scale)


def _resampled(
    values: FloatArray, weights: FloatArray, resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Weighted sums of values drawn with replacement, ``[resamples]``."""
    chunk = max(1, _CHUNK // len(values))
    parts = [
        values[rng.integers(len(values), size=(min(chunk, resamples - start), len(values)))]
        @ weights
        for start in range(0, resamples, chunk)
    ]
    return np.concatenate(parts)
