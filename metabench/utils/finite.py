"""Numbers out of the open part of a record, which may hold anything that JSON can."""

from __future__ import annotations

LARGEST = 1e100
"""Beyond it a number is no measurement, and sums of squares overflow."""


def number(value: object) -> float | None:
    """A finite number of a sensible size, or nothing.

    >>> number(1), number(float("nan")), number("1"), number(True), number(10**400)
    (1.0, None, None, None, None)
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not -LARGEST < value < LARGEST
    ):
        return None
    return float(value)
