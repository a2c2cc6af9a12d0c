"""The executor ``in-process``, for debuggers and for classes that only this process knows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import ClassVar

from metabench.errors import UsageError
from metabench.executors.base import Executor
from metabench.records.schema import Record
from metabench.running.job import Job, Terms


class InProcessExecutor(Executor):
    """Runs cells in this process, one after the other. A cell that crashes ends the run.

    Raises:
        UsageError: If the run has a time limit.
    """

    name: ClassVar[str] = "in-process"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        if terms.timeout is not None:
            raise UsageError(
                "a time limit needs worker processes, and these cells run in this process.",
                hint="Omit the time limit, or install the algorithm as a plugin.",
            )

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """See :class:`Executor`."""
        for job in jobs:
            yield job.run(self.terms.registry, functools.partial(self.terms.on_event, job.cell))
