"""A context variable that has another value for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TypeVar

Value = TypeVar("Value")


@contextlib.contextmanager
def scoped(variable: ContextVar[Value], value: Value) -> Iterator[None]:
    """Inside, the variable has this value; afterwards the one from before, whatever happened."""
    before = variable.set(value)
    try:
        yield
    finally:
        variable.reset(before)
