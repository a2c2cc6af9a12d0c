"""Jobs: what an executor runs, and the terms of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import TypeAdapter

from metabench.config import Resources
from metabench.records.schema import Record, Status, now
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.run_cell import Conditions, EventHandler, new_record, run_cell


@dataclass(frozen=True)
class Job:
    """A cell to run. A job can be pickled, and :meth:`line` is the same as text.

    Attributes:
        cell: The cell.
        key: Its key.
        conditions: How it is run. Its paths are those of the machine that created the job.
        providers: The distributions that provide its data sets and metrics; of a sealed cell, the
            process that holds the answers imports no other plugin.
    """

    cell: Cell
    key: str
    conditions: Conditions
    providers: tuple[str, ...] = ()

    def run(self, registry: Registry, report: EventHandler = lambda event: None) -> Record:
        """Run the cell in this process, not sealed. Every error becomes the status of the record.

        Args:
            registry: What is installed here.
            report: Called with each event of the cell.
        """
        return run_cell(self.cell, registry, self.conditions, report, key=self.key)

    def without_salt(self) -> Job:
        """Returns the job as the process of the algorithm may know it."""
        return replace(self, conditions=replace(self.conditions, episodes_salt=""))

    def line(self) -> str:
        """Returns the job as one line of JSON.

        ``python -m metabench.executors.worker`` reads it from stdin, which must then stay open,
        runs the cell, and writes its events to stdout, one JSON object per line. The last one is
        ``{"phase": "done", "record": ...}``.
        """
        # json.dumps writes ASCII, so it does not matter which encoding the worker's stdin has.
        return json.dumps(TypeAdapter(Job).dump_python(self, mode="json"))

    @classmethod
    def from_line(cls, line: str) -> Job:
        """Returns the job of a line that :meth:`line` returned."""
        return TypeAdapter(Job).validate_json(line)

    def ended(
        self, status: Status, reason: str, *, traceback: str = "", started: str = ""
    ) -> Record:
        """Returns the record of a cell that could not write its own.

        Args:
            status: How it ended.
            reason: Why, in words.
            traceback: Further output of the cell.
            started: When it started, in the form of :func:`metabench.records.schema.now`; by
                default now.
        """
        record = new_record(self.cell, self.key)
        record.status, record.reason, record.traceback = status, reason, traceback
        record.started, record.finished = started or record.started, now()
        return record


@dataclass(frozen=True)
class Terms(Resources):
    """What a run requires of its executor: the resources it may use, and who receives its events.

    Args:
        registry: What is installed, including the classes that only this process knows.
        on_event: Called with a cell and each of its events, in the thread that runs the executor.
    """

    registry: Registry
    on_event: Callable[[Cell, dict[str, Any]], None] = lambda cell, event: None


Place = tuple[str, str, int, str]
"""The algorithm, the benchmark, the seed and the overrides of a cell."""


def place_of(item: Cell | Record) -> Place:
    """Returns what a cell and its record share."""
    # Not the key: an edit of the code between the plan and the run changes it.
    cell = item if isinstance(item, Cell) else item.algorithm
    name = item.algorithm if isinstance(item, Cell) else item.algorithm.name
    overrides = json.dumps(cell.overrides, sort_keys=True)
    return name, item.benchmark.title, item.seed, overrides


class JobRunner(Protocol):
    """Anything that runs jobs; plugins derive from :class:`metabench.Executor`."""

    def run(self, jobs: Sequence[Job], /) -> Iterator[Record]:
        """Run jobs. Yields one record for each as it ends, in any order."""
