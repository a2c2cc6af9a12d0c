"""The spread over seeds: the same algorithm, trained again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special


def seed_sd(means: Sequence[float]) -> float:
    r"""Returns the standard deviation of the seeds' mean scores.

    .. math:: s = \sqrt{\tfrac{1}{S - 1} \sum_s (\bar{x}_s - \bar{x})^2}

    All seeds are tested on the same frozen episodes, so this is the effect of another training
    alone. It is not a standard error: it does not decrease with the number of seeds.

    >>> round(seed_sd([0.90, 0.92, 0.91]), 6)
    0.01

    Args:
        means: The mean score of each seed, ``[S]``.

    Returns:
        The standard deviation; NaN for a single seed.

    Raises:
        ValueError: If there is no seed.
    """
    if not len(means):
        raise ValueError("a standard deviation over seeds needs at least one seed")
    return float(np.std(means, ddof=1)) if len(means) > 1 else math.nan


def seeds_test(
    base: Sequence[float], new: Sequence[float], difference: float, *, common: int
) -> float:
    r"""Returns the p-value of a difference against the variation between seeds.

    .. math::
        t = \frac{d}{s \sqrt{2 / S}}, \qquad
        s^2 = \frac{\sum_i (b_i - \bar{b})^2 + \sum_j (n_j - \bar{n})^2}{|b| + |n| - 2}

    This is Student's two-sided test with pooled variance and :math:`|b| + |n| - 2` degrees of
    freedom, except that the difference is over the ``S`` common seeds, and the variance over all.

    >>> round(seeds_test([0.90, 0.92, 0.91], [0.88, 0.90, 0.89], -0.02, common=3), 4)
    0.0705

    Args:
        base: The mean score of each seed of one side.
        new: Those of the other side.
        difference: The mean difference over the common seeds.
        common: The number ``S`` of common seeds.

    Returns:
        The p-value; NaN if neither side has two seeds.

    Raises:
        ValueError: If there is no common seed, or a side without seeds.
    """
    if common < 1 or not len(base) or not len(new):
        raise ValueError("comparing seeds needs a seed that both sides have")
    freedom = len(base) + len(new) - 2
    if freedom < 1:
        return math.nan
    if difference == 0:
        return 1.0
    # Not paired by seed: the smallest change of arithmetic makes two trainings from one seed as
    # different as trainings from two.
    squares = sum(float(np.square(np.asarray(side) - np.mean(side)).sum()) for side in (base, new))
    error = math.sqrt(squares / freedom * 2 / common)
    if error == 0:
        return 0.0
    return min(1.0, 2 * float(special.stdtr(freedom, -abs(difference) / error)))
