"""The bootstrap of mean scores over seeds, episodes and groups of classes together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metabench.stats.clusters import cluster_moments
from metabench.stats.variances import moderated_variances

FloatArray = NDArray[np.float64]

RESAMPLES = 4000


@dataclass(frozen=True, eq=False)
class ClassSlots:
    """The classes of the test episodes, and what each algorithm scored on each of them.

    Attributes:
        clusters: What each class of an episode belongs to (a group, an origin or the class
            itself): integers ``[E, ways]``.
        shares: The share of right queries of each class, by algorithm: ``[K, E, ways]``.
    """

    clusters: NDArray[np.int64]
    shares: FloatArray


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Mean scores and how they might have come out.

    Attributes:
        means: The mean score of each algorithm, ``[K]``.
        deviations: Their deviations in each resample, ``[B, K]``.
        covariance: Their covariance, ``[K, K]``.
    """

    means: FloatArray
    deviations: FloatArray = field(repr=False)
    covariance: FloatArray = field(repr=False)

    @property
    def errors(self) -> FloatArray:
        """The standard error of the difference of every two means, ``[K, K]``."""
        own = np.diag(self.covariance)
        return np.sqrt(np.maximum(0.0, own[:, None] + own - 2 * self.covariance))


def bootstrap_means(
    scores: Sequence[NDArray[np.float64]],
    *,
    classes: ClassSlots | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Bootstrap:
    r"""Resample the mean scores of algorithms over seeds, episodes and classes together.

    The score of seed :math:`s` in episode :math:`e` is modelled by crossed effects: of the seed,
    which belongs to its algorithm; of the episode, which all algorithms share; and of the clusters
    of classes, each of which appears in many episodes. A resample draws each of the three anew and
    adds the linearised changes of the means, so that

    .. math:: V = V_{\text{seeds}} + V_{\text{episodes}} + V_{\text{clusters}}

    The interaction of seeds and episodes is in the first two terms, which errs on the safe side.
    Episodes are resampled with replacement. Three seeds are too few for that: their part is drawn
    from Student's t-distribution, with variances that are moderated over the algorithms
    (:func:`~metabench.stats.variances.moderated_variances`). Clusters are drawn from a multivariate
    t-distribution with the covariance of their bootstrap, less the noise within clusters
    (:func:`~metabench.stats.clusters.cluster_moments`).

    Args:
        scores: The scores of each algorithm, ``[S_k, E]`` with at least one seed and the same
            episodes. A single seed has no known variation: its part is left out.
        classes: The classes of the episodes, if they are known.
        resamples: The number of resamples, ``B``.
        seed: The seed of the random numbers.

    Reference: Owen and Eckles 2012, Bootstrapping data arrays of arbitrary order, Annals of Applied
    Statistics 6(3), arXiv:1106.2125.
    """
    episodes = np.stack([np.mean(one, axis=0) for one in scores], axis=1)  # [E, K]
    means = episodes.mean(0)
    rng = np.random.default_rng(seed)
    # The bootstrap of three seeds has 2/3 of their variance, and no tails.
    variances, freedom = _seed_variances(scores)
    t = rng.standard_normal((resamples, len(scores)))
    t /= np.sqrt(rng.chisquare(freedom, size=t.shape) / freedom)
    deviations = t * np.sqrt(variances)
    influences = (episodes - means) / len(episodes)
    deviations += _resample_rows(influences, resamples, rng)
    covariance = np.diag(variances) + _covariance(influences)
    if classes is not None:
        moments = cluster_moments(classes.clusters, classes.shares)
        root = _root(moments.observed - moments.noise)
        deviations += _draw_t(root, moments.units, resamples, rng)
        covariance += root @ root.T
    return Bootstrap(means, deviations, covariance)


def _covariance(influences: FloatArray) -> FloatArray:
    n = len(influences)
    return np.asarray(influences.T @ influences * (n / max(1, n - 1)))


def _resample_rows(influences: FloatArray, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Returns sums of rows drawn with replacement, ``[resamples, K]``."""
    n = len(influences)
    if n < 2:
        return np.zeros((resamples, influences.shape[1]))
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples) - 1.0
    # n - 1 of n degrees of freedom, and as uncertain as a variance of so few units is.
    scale = np.sqrt(n / rng.chisquare(n - 1, size=(resamples, 1)))
    return np.asarray((counts * scale) @ influences)


def _draw_t(root: FloatArray, units: int, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Returns draws from a multivariate t-distribution with ``units - 1`` degrees of freedom."""
    if units < 2:
        return np.zeros((resamples, len(root)))
    scale = np.sqrt((units - 1) / rng.chisquare(units - 1, size=(resamples, 1)))
    return np.asarray(rng.standard_normal((resamples, len(root))) @ root.T * scale)


def _root(matrix: FloatArray) -> FloatArray:
    """Returns ``R`` with ``R R^T`` equal to a symmetric matrix, its negative eigenvalues set to 0.

    The difference of two estimated covariances need not be one.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _seed_variances(scores: Sequence[NDArray[np.float64]]) -> tuple[FloatArray, FloatArray]:
    """Returns the variance of each mean from the training seeds, and its degrees of freedom."""
    seeds = np.array([len(one) for one in scores])
    variances, freedom = np.zeros(len(scores)), np.ones(len(scores))
    several = np.flatnonzero(seeds > 1)
    observed = [float(np.var(np.mean(scores[k], axis=1), ddof=1)) for k in several.tolist()]
    moderated = moderated_variances(observed, seeds[several] - 1)
    variances[several] = moderated.variances / seeds[several]
    freedom[several] = moderated.freedom
    return variances, freedom
