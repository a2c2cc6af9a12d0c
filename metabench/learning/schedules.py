"""Learning rate schedules as factors of the rate, by the share of the budget that is spent."""

from __future__ import annotations

import math


def cosine(progress: float) -> float:
    """Fall from 1 to 0 along half a cosine.

    Args:
        progress: The share of the budget that is spent, 0 to 1.

    >>> cosine(0), round(cosine(0.5), 12), cosine(1)
    (1.0, 0.5, 0.0)
    """
    return (1 + math.cos(math.pi * progress)) / 2


def hold_then_linear(progress: float, hold: float) -> float:
    """Stay at 1, then fall linearly to 0.

    Args:
        progress: The share of the budget that is spent, 0 to 1.
        hold: The share of the budget at which the fall begins.

    >>> [hold_then_linear(progress, 0.5) for progress in (0.25, 0.5, 0.75, 1)]
    [1.0, 1.0, 0.5, 0.0]
    """
    return 1.0 if progress <= hold else (1 - progress) / (1 - hold)
