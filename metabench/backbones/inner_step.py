"""The number of inner steps that a network has taken, for batch norm statistics of each step.

MAML++ (Antoniou et al. 2019, arXiv:1810.09502) keeps running statistics for every inner step. An
argument cannot carry the step: in adapters the loops of other libraries call the network as
``network(x)``. So it is a context variable, which
:class:`~metabench.backbones.conv_block.ConvBlock` reads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from metabench.utils.scoped import scoped

_step: ContextVar[int] = ContextVar("inner_step", default=0)


@contextlib.contextmanager
def inner_step(step: int) -> Iterator[None]:
    """Run networks as those of a learner that has taken ``step`` inner steps.

    Args:
        step: The number of inner steps; 0 before the first.
    """
    with scoped(_step, step):
        yield


def current_step() -> int:
    """Returns the number of inner steps taken; 0 outside of :func:`inner_step`."""
    return _step.get()
