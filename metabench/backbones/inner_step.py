"""Which inner step a network is asked in: batch norm can keep statistics for each (MAML++)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from metabench.utils.scoped import scoped

_step: ContextVar[int] = ContextVar("step", default=0)


@contextlib.contextmanager
def inner_step(step: int) -> Iterator[None]:
    """Inside, networks are those of a learner that has taken so many inner steps.

    Args:
        step: 0 before the first.
    """
    with scoped(_step, step):
        yield


def current_step() -> int:
    """The inner steps that the learner has taken; 0 outside of :func:`inner_step`."""
    return _step.get()
