"""The spread over seeds: the same algorithm, trained again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


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
