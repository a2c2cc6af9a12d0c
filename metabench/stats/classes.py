"""The interval over classes: the mean on new classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metabench.stats.clusters import cluster_moments
from metabench.stats.intervals import share_interval


class ClassInterval(NamedTuple):
    """A mean with its confidence interval for new classes.

    Attributes:
        mean: The mean over the episodes.
        low: The lower end.
        high: The upper end.
        clusters: The number of classes, origins or groups that the test episodes show.
    """

    mean: float
    low: float
    high: float
    clusters: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval; the mean need not be in its middle."""
        return (self.high - self.low) / 2


def class_interval(
    clusters: ArrayLike, class_hits: ArrayLike, *, queries: int, confidence: float = 0.95
) -> ClassInterval:
    r"""Returns the mean accuracy with its interval for new test classes.

    The variance of the mean over other episodes of the same classes, and over other clusters:

    .. math:: V = \frac{s_x^2}{E} + \max(0, V_G - N_G)

    :math:`V_G` is the variance of a bootstrap of whole clusters, and :math:`N_G` the noise within
    them, which the first term holds already (:func:`~metabench.stats.clusters.cluster_moments`).
    The ends are those of Wilson's interval with this variance
    (:func:`~metabench.stats.intervals.share_interval`), so they lie within 0 and 1.

    >>> clusters = [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3], [1, 2]]
    >>> hits = [[9, 9], [5, 5], [9, 6], [8, 5], [9, 5], [8, 6]]
    >>> interval = class_interval(clusters, hits, queries=10)
    >>> print(f"{interval.mean:.2f}, from {interval.low:.2f} to {interval.high:.2f}")
    0.70, from 0.34 to 0.92

    Args:
        clusters: What the classes of each episode belong to, integers ``[E, m]``: the group or the
            origin of a class, or the class itself.
        class_hits: The number of right queries of each class, ``[E, m]``.
        queries: The number of queries of each class in an episode.
        confidence: The probability that the interval covers the mean over all classes.

    Raises:
        ValueError: If the shapes differ, or there are fewer than two episodes or sets of clusters.

    Reference: Cameron, Gelbach, Miller 2011, Robust inference with multiway clustering, Journal of
    Business and Economic Statistics 29(2); arXiv:2409.02850 (new classes in few-shot learning).
    """
    shown, hits = np.asarray(clusters), np.asarray(class_hits, dtype=np.float64)
    if shown.ndim != 2 or shown.shape != hits.shape or len(shown) < 2:
        raise ValueError(
            "clusters and hits must be [episodes, ways] with at least two episodes; they are "
            f"{shown.shape} and {hits.shape}"
        )
    rows = np.sort(shown, axis=1)
    if (rows == rows[0]).all():
        raise ValueError("every episode has the same classes, which tell nothing about others")
    scores = hits.mean(1) / queries
    moments = cluster_moments(shown, hits[None] / queries)
    observed, noise = float(moments.observed[0, 0]), float(moments.noise[0, 0])
    between = max(0.0, observed - noise)
    within = float(scores.var(ddof=1)) / len(scores)
    mean, variance = float(scores.mean()), between + within
    # Satterthwaite: each variance is as uncertain as the number of its units makes it. A variance
    # less its noise is more uncertain, and as much as the observed one is too much: halfway, the
    # simulated coverage is 92 to 99 % (12 and 40 classes, 50 to 2400 episodes).
    uncertain = ((observed + between) / 2) ** 2 / (moments.units - 1)
    uncertain += within**2 / (len(scores) - 1)
    freedom = variance**2 / uncertain if uncertain > 0 else moments.units - 1.0
    low, high = share_interval(
        mean, variance**0.5, freedom=freedom, units=moments.units, confidence=confidence
    )
    return ClassInterval(mean, low, high, moments.units)
