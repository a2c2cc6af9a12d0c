"""The mean of the worst tenth of the scores."""

from __future__ import annotations

import math
from collections.abc import Sequence


def worst_decile(scores: Sequence[float], *, higher_is_better: bool = True) -> float:
    """Returns the mean score of the worst tenth of the episodes, at least one.

    >>> worst_decile([0.9] * 19 + [0.1])
    0.5
    """
    ordered = sorted(scores, reverse=not higher_is_better)
    worst = ordered[: max(1, math.ceil(len(ordered) / 10))]
    # fsum: exact, so that the order of the scores cannot change the last bit.
    return math.fsum(worst) / len(worst)
