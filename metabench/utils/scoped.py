"""Temporary values of context variables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def scoped(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Set a context variable for the duration of the block."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
