"""Numbers out of the open part of a record, which may hold anything that JSON can."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from metabench.utils.finite import number

MOST_POINTS = 200
"""Points of a curve that are drawn and tabulated; a longer one is thinned evenly."""

MOST_LEAVES = 200
DEEPEST = 5

_T = TypeVar("_T")


def numbers(value: object) -> list[float | None]:
    """The numbers of a list, nothing in place of whatever is none; empty where it is no list."""
    return [number(v) for v in value] if isinstance(value, list) else []


def at(values: object, *path: str) -> Any:
    """What stands at a path of keys, or nothing.

    >>> at({"a": {"b": 1}}, "a", "b"), at({"a": 1}, "a", "b")
    (1, None)
    """
    for key in path:
        if not isinstance(values, dict):
            return None
        values = values.get(key)
    return values


def float_of(text: str) -> float | None:
    """The number that a text is, as keys of JSON objects are."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def thinned(items: Sequence[_T], most: int = MOST_POINTS) -> list[_T]:
    """At most so many of the items, evenly, the first and the last among them.

    >>> thinned([0, 1, 2, 3, 4, 5, 6], 3)
    [0, 3, 6]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def flat(values: object) -> list[tuple[str, str]]:
    """The numbers and texts of an object, each with the keys that lead to it; no lists, and not too many.

    >>> flat({"ece": 0.03456789, "attacks": {"pgd": {"score": 0.5}}, "classes": [1]})
    [('ece', '0.034568'), ('attacks, pgd, score', '0.5')]
    """
    return list(itertools.islice(_leaves(values, ()), MOST_LEAVES))


def _leaves(values: object, keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(values, dict) and len(keys) < DEEPEST:
        for key, value in values.items():
            yield from _leaves(value, (*keys, str(key)))
    elif isinstance(values, bool | str):
        yield ", ".join(keys), str(values)
    elif (found := number(values)) is not None:
        yield ", ".join(keys), f"{found:.5g}"


def shorten(text: str, most: int) -> str:
    """A text of at most so many characters, with an ellipsis where it was longer.

    >>> shorten("prototypical", 6)
    'proto…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"
