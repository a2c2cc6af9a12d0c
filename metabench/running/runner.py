"""Run what is planned: hand cells to an executor, store each record, tell whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from metabench.errors import UsageError
from metabench.plugins import Plugins
from metabench.records.schema import FINAL, Record
from metabench.records.store import ResultsFolder
from metabench.running.cell import Cell
from metabench.running.job import Job, RunsJobs, Terms
from metabench.running.plan import Planned
from metabench.running.run_cell import Conditions
from metabench.runtime.precision import Precision, check_precision


class Watcher(Protocol):
    """Whoever is told how a run goes."""

    def started(self, planned: list[Planned]) -> None:
        """The cells that are going to run."""

    def event(self, cell: Cell, event: dict[str, Any]) -> None:
        """An event of a running cell."""

    def finished(self, record: Record) -> None:
        """A record was stored."""


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for a GPU where there is one.
        jobs: cells at a time; 0 leaves it to the executor.
        threads: threads of each cell, and processes that share the tasks of an outer step where they can
            (:mod:`metabench.learning.outer_gradient.shared`). One by default, whatever the number of jobs:
            their number can change last bits.
        precision: how precisely cells compute: ``highest``, ``tf32`` or ``bf16``. A stored record counts as
            stored whatever its precision, which stands in it.
        timeout: seconds that a cell may take.
        data: the folder that holds one folder per data set.
        executor: the name of the executor: where the cells run.
    """

    device: str = "cpu"
    jobs: int = 0
    threads: int = 1
    precision: Precision = "highest"
    timeout: float | None = None
    data: Path | None = None
    executor: str = "processes"


def check_device(name: str) -> str:
    """The device that a name means.

    Raises:
        UsageError: it is none, or there is no such device here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"'{name}' is not a device.", hint="It can be cpu, cuda, cuda:0 or auto."
        ) from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(
                f"device '{name}' was asked for, and PyTorch sees no CUDA device here.",
                hint="Use --device cpu, or install a PyTorch build with CUDA.",
            )
        if (device.index or 0) >= torch.cuda.device_count():
            raise UsageError(
                f"device '{name}' was asked for, and there are {torch.cuda.device_count()} here.",
                hint="The first is cuda:0.",
            )
    elif device.type != "cpu":
        raise UsageError(
            f"device '{name}' is not supported.", hint="It can be cpu, cuda, cuda:0 or auto."
        )
    return str(device)


def run_planned(
    planned: Iterable[Planned],
    plugins: Plugins,
    folder: ResultsFolder,
    resources: Resources,
    make_executor: Callable[[Terms], RunsJobs],
    watchers: Iterable[Watcher] = (),
) -> list[Record]:
    """Run every planned cell that is not stored; the longest first, so that the workers end together.

    Args:
        planned: the cells.
        plugins: what is installed.
        folder: where records and checkpoints are stored.
        resources: what the run may use.
        make_executor: makes what runs the jobs, given what the run asks of it; see
            :func:`metabench.executors.guard.guarded`.
        watchers: told how the run goes.

    Returns:
        The records of all planned cells, those that were stored before among them, in the order planned.

    Raises:
        UsageError: the device or the executor cannot be had, or a time limit is set for cells that run in
            this process.
        PluginError: the executor is broken.
        ResultsError: the results folder cannot be written.
        KeyboardInterrupt: the run was interrupted; what was finished is stored.
    """
    planned = list(planned)
    watching = list(watchers)
    todo = [p for p in planned if p.state != "stored"]
    # By place and not by key: what the key stands for may change between the plan and the run.
    records = {_place(p.cell): p.record for p in planned if p.record is not None}
    resources = replace(resources, device=check_device(resources.device))
    check_precision(resources.precision, resources.device)

    def event(cell: Cell, what: dict[str, Any]) -> None:
        if what["phase"] == "load":
            plugins.notify(
                "metabench_cell_started",
                cell={
                    "algorithm": cell.algorithm,
                    "benchmark": cell.benchmark.name,
                    "seed": cell.seed,
                },
            )
        for watcher in watching:
            watcher.event(cell, what)

    def store(record: Record) -> None:
        folder.save(record)
        if record.status in FINAL and record.status != "ok":
            folder.checkpoint(record.key).unlink(missing_ok=True)
        records[record.algorithm.name, record.benchmark.title, record.seed] = record
        for watcher in watching:
            watcher.finished(record)
        plugins.notify("metabench_cell_finished", record=record.model_dump(mode="json"))

    terms = Terms(
        plugins.registry,
        resources.jobs,
        resources.device,
        resources.threads,
        resources.timeout,
        event,
    )
    executor = make_executor(terms)
    if todo:
        folder.check_writable()
    for watcher in watching:
        watcher.started(todo)
    jobs = [(p, Job(p.cell, p.key, _conditions(resources, folder, p))) for p in todo]
    for p, job in jobs:
        if p.broken:
            store(job.ended("broken-plugin", p.broken))
    jobs.sort(key=lambda pair: -pair[0].work)
    for record in executor.run([job for p, job in jobs if not p.broken]):
        store(record)
    return [records[_place(p.cell)] for p in planned if _place(p.cell) in records]


def _place(cell: Cell) -> tuple[str, str, int]:
    return cell.algorithm, cell.benchmark.title, cell.seed


def _conditions(resources: Resources, folder: ResultsFolder, planned: Planned) -> Conditions:
    checkpoint = folder.checkpoint(planned.key)
    if planned.fresh:
        checkpoint.unlink(missing_ok=True)
    return Conditions(
        resources.device, resources.threads, resources.precision, resources.data, checkpoint
    )
