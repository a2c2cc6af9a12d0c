"""Read and format the values of a metric, which may be any JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from metabench.utils.finite import number

MOST_POINTS = 200
"""A longer curve is thinned to this many points: a browser slows down with more."""

# A record may hold any amount of JSON, nested to any depth.
MOST_LEAVES = 200
DEEPEST = 5

_T = TypeVar("_T")


def numbers(value: object) -> list[float | None]:
    """Returns the items of a list as numbers, ``None`` for any other item; empty if no list."""
    return [number(v) for v in value] if isinstance(value, list) else []


def at(values: object, *path: str) -> Any:
    """Returns the value at a path of keys, or nothing.

    >>> at({"a": {"b": 1}}, "a", "b"), at({"a": 1}, "a", "b")
    (1, None)
    """
    for key in path:
        if not isinstance(values, dict):
            return None
        values = values.get(key)
    return values


def parse_number(text: str) -> float | None:
    """Returns the number in a text, such as a key of a JSON object, or nothing."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def thinned(items: Sequence[_T], most: int = MOST_POINTS) -> list[_T]:
    """Returns at most ``most`` items, evenly spaced, with the first and the last.

    >>> thinned([0, 1, 2, 3, 4, 5, 6], 3)
    [0, 3, 6]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def flat(values: object) -> list[tuple[str, str]]:
    """Returns the numbers and texts of an object with their paths, without lists.

    At most :data:`MOST_LEAVES` of them, from at most :data:`DEEPEST` levels.

    >>> flat({"ece": 0.03456789, "attacks": {"pgd": {"score": 0.5}}, "classes": [1]})
    [('ece', '0.034568'), ('attacks, pgd, score', '0.5')]
    """
    return list(itertools.islice(_leaves(values, ()), MOST_LEAVES))


def _leaves(values: object, keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(values, dict) and len(keys) < DEEPEST:
        for key, value in values.items():
            yield from _leaves(value, (*keys, str(key)))
    elif isinstance(values, bool | str):  # before numbers: a bool is an int
        yield ", ".join(keys), str(values)
    elif (found := number(values)) is not None:
        yield ", ".join(keys), f"{found:.5g}"


def shorten(text: str, most: int) -> str:
    """Returns the text, cut to ``most`` characters with an ellipsis.

    >>> shorten("prototypical", 6)
    'proto…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def format_number(value: float | None, *, percent: bool = False) -> str:
    """Returns a number as text: shares in percent, whole numbers with thousands separators.

    >>> format_number(0.98451, percent=True), format_number(1260000), format_number(0.0123456)
    ('98.45', '1,260,000', '0.01235')
    """
    if value is None:
        return ""
    if percent:
        return f"{100 * value:.2f}"
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:.4g}"
