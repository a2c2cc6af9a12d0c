"""What the clusters of classes in the test episodes add to the variance of mean scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# A cluster that nearly every episode shows has nothing to compare with; its effect is not scaled
# up by more than this.
_LEAST_CONTRAST = 0.1


class ClusterMoments(NamedTuple):
    """The covariance of mean scores from drawing other clusters.

    Attributes:
        observed: The covariance of a bootstrap of whole clusters, ``[K, K]``.
        noise: The part of it that is the spread within clusters, ``[K, K]``.
        units: The number of clusters.
    """

    observed: FloatArray
    noise: FloatArray
    units: int


def cluster_moments(clusters: NDArray[np.int64], shares: FloatArray) -> ClusterMoments:
    r"""Returns the covariance of mean scores from the clusters that episodes show.

    .. math::
        V = \frac{G}{G - 1} \sum_g I_g I_g^\top, \qquad
        I_g = \frac{1}{Em} \sum_{(e, k) \in g} (v_{ek} - \bar{v})

    with the values :math:`v_{ek}` of :func:`class_values`.

    Args:
        clusters: What each class of an episode belongs to (a group, an origin or the class
            itself): integers ``[E, m]``.
        shares: The share of right queries of each class, by algorithm: ``[K, E, m]``.
    """
    names, index = np.unique(clusters, return_inverse=True)
    flat = index.ravel()
    values = class_values(index.reshape(clusters.shape), shares).reshape(len(shares), -1)
    size, groups = values.shape[1], len(names)
    deviations = values - values.mean(1, keepdims=True)
    sums = np.stack([np.bincount(flat, weights=row) for row in deviations])  # [K, G]
    influences = sums / size
    observed = influences @ influences.T * (groups / max(1, groups - 1))
    freedom = size - groups
    if freedom == 0:  # no cluster is shown twice: there is nothing but the spread within them
        return ClusterMoments(observed, deviations @ deviations.T / (size - 1) / size, groups)
    residuals = deviations - (sums / np.bincount(flat))[:, flat]
    return ClusterMoments(observed, residuals @ residuals.T / freedom / size, groups)


def class_values(index: NDArray[np.int64], shares: FloatArray) -> FloatArray:
    r"""Returns what each class contributes to the scores of the episodes that show it.

    .. math:: v_{ek} = y_{ek} + \frac{1}{c} \sum_{j \ne k} (y_{ej} - \bar{y}_{g(e, j)})

    A class is easy or hard by itself, and makes the others of its episode easier or harder: the
    second term is how much better these do than they usually do. An episode with a class has one
    place less for others like it; :math:`c` is what remains of an effect in this contrast.

    Args:
        index: The clusters of the classes, numbered from 0, ``[E, m]``.
        shares: The share of right queries of each class, by algorithm: ``[K, E, m]``.

    Returns:
        The values, ``[K, E, m]``.
    """
    flat = index.ravel()
    times = np.bincount(flat)
    usual = np.stack([np.bincount(flat, weights=row.ravel()) / times for row in shares])
    surprise = shares - usual[:, index]
    rest = surprise.sum(2, keepdims=True) - surprise
    return np.asarray(shares + rest / _contrast(index, len(times)))


def _contrast(index: NDArray[np.int64], groups: int) -> float:
    """Returns how much more often an episode with a cluster shows it than one with another."""
    ways = index.shape[1]
    if ways < 2 or groups < 2:
        return 1.0
    # The number of further places with the cluster of a place: 0 if clusters are classes.
    repeats = float(np.mean((index[:, :, None] == index[:, None, :]).sum(2) - 1))
    of_own = 1 + repeats * (ways - 2) / (ways - 1)
    of_other = (ways - 1 - repeats) / (groups - 1)
    return float(max(_LEAST_CONTRAST, of_own - of_other))
