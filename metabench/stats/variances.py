"""Moderated variances: the few seeds of each algorithm, steadied by those of the others."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]

# Of the largest variance. Seeds that differ by rounding alone are equal.
_ROUNDING = 1e-16


class Moderated(NamedTuple):
    """Variances with their degrees of freedom.

    Attributes:
        variances: ``[K]``; 0 where all values are equal.
        freedom: ``[K]``.
    """

    variances: FloatArray
    freedom: FloatArray


def moderated_variances(variances: ArrayLike, freedom: ArrayLike) -> Moderated:
    r"""Returns variances that are shrunk towards their common value, as far as they agree.

    The true variances are modelled by a scaled inverse chi-squared distribution with :math:`d_0`
    degrees of freedom around :math:`s_0^2`, both estimated from the spread of the logarithms:

    .. math:: \tilde{s}_k^2 = \frac{d_0 s_0^2 + d_k s_k^2}{d_0 + d_k}

    Without it three seeds leave two degrees of freedom, and no table with many pairs could tell
    anything apart. Variances that differ more than chance explains are hardly shrunk. A variance
    of 0 (an algorithm without training) is known and stays.

    >>> found = moderated_variances([1.0, 2.0, 0.0], [2, 2, 2])
    >>> found.freedom.tolist()[:2], round(float(found.variances[0]), 2)
    ([4.0, 4.0], 1.5)

    Args:
        variances: The variance of each algorithm over its seeds, ``[K]``.
        freedom: Their degrees of freedom, at least 1, ``[K]``.

    Reference: Smyth 2004, Linear models and empirical Bayes methods for assessing differential
    expression, Statistical Applications in Genetics and Molecular Biology 3, section 6.
    """
    observed, own = np.broadcast_arrays(
        np.asarray(variances, dtype=np.float64), np.asarray(freedom, dtype=np.float64)
    )
    shrunk, total = np.array(observed), np.array(own)
    varies = observed > _ROUNDING * observed.max(initial=0.0)
    shrunk[~varies] = 0.0
    if varies.sum() < 2:
        return Moderated(shrunk, total)
    s2, d = observed[varies], own[varies]
    # E log s2 = log sigma2 + digamma(d / 2) - log(d / 2), and its variance is trigamma(d / 2).
    logs = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    excess = float(logs.var(ddof=1) - special.polygamma(1, d / 2).mean())
    if excess <= 0:  # no more spread than of equal variances: d0 is infinite
        shrunk[varies] = float(d @ s2 / d.sum())
        total[varies] = d.sum()
        return Moderated(shrunk, total)
    d0 = 2 * _inverse_trigamma(excess)
    s0 = math.exp(logs.mean() + special.digamma(d0 / 2) - math.log(d0 / 2))
    shrunk[varies] = (d0 * s0 + d * s2) / (d0 + d)
    # The prior is itself estimated from these variances: all together have no more freedom.
    total[varies] = np.minimum(d0 + d, d.sum())
    return Moderated(shrunk, total)


def _inverse_trigamma(value: float) -> float:
    """Returns the argument at which trigamma has a positive value, by Newton's method."""
    if value > 1e7:
        return 1 / math.sqrt(value)
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x
