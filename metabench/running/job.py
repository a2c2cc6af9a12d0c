"""A cell to run, and what a run asks of whoever runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from metabench.records.schema import AlgorithmId, Record, Status, now
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.run_cell import Conditions, Report, run_cell


class Job(NamedTuple):
    """One cell to run. It can be pickled, and :meth:`line` is all of it as text.

    Attributes:
        cell: the cell.
        key: its key.
        conditions: how it is run. Its paths are those of the machine that asks.
    """

    cell: Cell
    key: str
    conditions: Conditions

    def run(self, registry: Registry, report: Report = lambda event: None) -> Record:
        """Run the cell in this process; whatever goes wrong is the status of the record.

        Args:
            registry: what is installed here.
            report: takes the cell's events.
        """
        return run_cell(self.cell, registry, self.conditions, report, key=self.key)

    def line(self) -> str:
        """The job as one line of JSON.

        On the stdin of ``python -m metabench.executors.worker``, which is then kept open, it makes that
        process run the cell and write its events to stdout, one JSON a line; the last is
        ``{"phase": "done", "record": ...}``.
        """
        return encode(self.cell, self.key, self.conditions)

    def ended(
        self, status: Status, reason: str, *, traceback: str = "", started: str = ""
    ) -> Record:
        """The record of a cell that could not write its own.

        Args:
            status: how it ended.
            reason: why, in words.
            traceback: what is known beyond that.
            started: when it began, as :func:`metabench.records.schema.now` gives it; by default now.
        """
        return Record(
            key=self.key,
            algorithm=AlgorithmId(name=self.cell.algorithm, overrides=self.cell.overrides),
            benchmark=self.cell.benchmark,
            seed=self.cell.seed,
            status=status,
            reason=reason,
            traceback=traceback,
            started=started or now(),
            finished=now(),
        )


@dataclass(frozen=True)
class Terms:
    """What a run asks of its executor.

    Args:
        registry: what is installed, and what only this process knows.
        jobs: cells at a time; 0 leaves it to the executor.
        device: the device of each cell.
        threads: the threads of each cell.
        timeout: seconds that a cell may take; ``None`` for no end.
        on_event: called with a cell and each of its events, in the thread that runs the executor.
    """

    registry: Registry
    jobs: int = 0
    device: str = "cpu"
    threads: int = 1
    timeout: float | None = None
    on_event: Callable[[Cell, dict[str, Any]], None] = lambda cell, event: None


class RunsJobs(Protocol):
    """Anything that runs jobs; :class:`metabench.Executor` is the base that plugins derive from."""

    def run(self, jobs: Sequence[Job], /) -> Iterator[Record]:
        """Run jobs, and give the one record of each as it ends, in any order."""


def encode(cell: Any, key: str, conditions: Any) -> str:
    """A cell, its key and its conditions as one line."""
    return json.dumps(
        {
            "key": key,
            "algorithm": cell.algorithm,
            "benchmark": cell.benchmark.model_dump(mode="json"),
            "seed": cell.seed,
            "overrides": cell.overrides,
            "metrics": cell.metrics,
            "device": conditions.device,
            "threads": conditions.threads,
            "precision": conditions.precision,
            "data": None if conditions.data is None else str(conditions.data),
            "checkpoint": None if conditions.checkpoint is None else str(conditions.checkpoint),
        }
    )
