"""Whether what is computed will be differentiated twice: the fastest way to compute it depends on that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from metabench.utils.scoped import scoped

_twice: ContextVar[bool] = ContextVar("twice", default=False)


@contextlib.contextmanager
def differentiated_twice(twice: bool = True) -> Iterator[None]:
    """Inside, a backbone may take a way whose second derivative is fast and whose first is slower.

    A hint and no more: the numbers are the same, and so are derivatives of any order, with or without it.

    Args:
        twice: whether it is so.
    """
    with scoped(_twice, twice):
        yield


def is_differentiated_twice() -> bool:
    """Whether the code runs inside of :func:`differentiated_twice`."""
    return _twice.get()
