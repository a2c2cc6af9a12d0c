"""A side of a comparison, and its timing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Side = Callable[[], int]
"""A function that does some work and returns its units: tasks, episodes or examples."""


@dataclass(frozen=True)
class Timing:
    """Seconds per unit of work over the rounds.

    Args:
        median: The median.
        q1: The first quartile.
        q3: The third quartile.
    """

    median: float
    q1: float
    q3: float

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        if len(seconds) < 2:
            return cls(seconds[0], seconds[0], seconds[0])
        q1, median, q3 = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, q1, q3)


def timed(side: Side) -> float:
    """Returns the seconds per unit of one call."""
    start = time.perf_counter()
    done = side()
    return (time.perf_counter() - start) / done
