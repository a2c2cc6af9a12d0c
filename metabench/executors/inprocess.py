"""Cells in this process, one after the other: for debuggers, and for classes that only this process knows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from metabench.cell import Cell, run_cell
from metabench.executors.processes import Job
from metabench.registry import Registry
from metabench.results import Record


class InProcessExecutor:
    """Runs cells here; a cell that hangs cannot be ended, and one that crashes takes everything with it.

    Args:
        registry: what is installed, and what only this process knows.
        on_event: called with a cell and each of its events.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        on_event: Callable[[Cell, dict[str, Any]], None] = lambda cell, event: None,
    ) -> None:
        self.registry = registry
        self.on_event = on_event

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """Run cells and give each one's record as it ends."""
        for cell, key, conditions in jobs:
            report = functools.partial(self.on_event, cell)
            yield run_cell(cell, self.registry, conditions, report, key=key)
