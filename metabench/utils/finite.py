"""Numbers read from the values of a metric, which may hold any JSON."""

from __future__ import annotations

LARGEST = 1e100
"""The bound on the magnitude of a number; the squares of larger ones overflow in a sum."""


def number(value: object) -> float | None:
    """Returns the value as a finite float, or ``None`` if it is not a number of usable size.

    >>> number(1), number(float("nan")), number("1"), number(True), number(10**400)
    (1.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -LARGEST < value < LARGEST else None
