"""The spread over seeds: the same algorithm, meta-trained again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special


def seed_sd(means: Sequence[float]) -> float:
    r"""The standard deviation of the seeds' mean scores.

    .. math:: s = \sqrt{\tfrac{1}{S - 1} \sum_s (\bar{x}_s - \bar{x})^2}

    All seeds are tested on the same frozen episodes, so this is what meta-training again changes, and not
    what other episodes would. It is no standard error: it does not shrink as seeds are added.

    >>> round(seed_sd([0.90, 0.92, 0.91]), 6)
    0.01

    Args:
        means: the mean score of each seed, ``[S]``.

    Returns:
        The standard deviation; NaN for a single seed.

    Raises:
        ValueError: there is no seed.
    """
    if not len(means):
        raise ValueError("a standard deviation over seeds needs at least one seed")
    return float(np.std(means, ddof=1)) if len(means) > 1 else math.nan


def seeds_test(
    base: Sequence[float], new: Sequence[float], difference: float, *, common: int
) -> float:
    r"""How likely meta-training again, and nothing else, makes a difference as large as this one.

    .. math::
        t = \frac{d}{s \sqrt{2 / S}}, \qquad
        s^2 = \frac{\sum_i (b_i - \bar{b})^2 + \sum_j (n_j - \bar{n})^2}{|b| + |n| - 2}

    Two-sided, with :math:`|b| + |n| - 2` degrees of freedom: Student's test with pooled variance, except that
    the mean difference is over the ``S`` seeds that both have while the spread is learned from all of them.
    A seed that both have is no reason to pair: the smallest change of arithmetic makes two trainings from
    one seed as different as those from two.

    >>> round(seeds_test([0.90, 0.92, 0.91], [0.88, 0.90, 0.89], -0.02, common=3), 4)
    0.0705

    Args:
        base: the mean score of each seed of one side.
        new: those of the other.
        difference: the mean difference over the seeds that both have.
        common: how many those are.

    Returns:
        The p-value; NaN where neither side has two seeds, because nothing is known of their spread then;
        0 where the seeds of each side agree to the last bit and the sides do not.

    Raises:
        ValueError: there is no common seed, or a side without any.
    """
    if common < 1 or not len(base) or not len(new):
        raise ValueError("comparing seeds needs a seed that both sides have")
    freedom = len(base) + len(new) - 2
    if freedom < 1:
        return math.nan
    if difference == 0:
        return 1.0
    squares = sum(float(np.square(np.asarray(side) - np.mean(side)).sum()) for side in (base, new))
    error = math.sqrt(squares / freedom * 2 / common)
    if error == 0:
        return 0.0
    return min(1.0, 2 * float(special.stdtr(freedom, -abs(difference) / error)))
