"""Runs a plan: hands its cells to an executor, stores each record, and notifies watchers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from metabench.config import Resources, narrow
from metabench.plugins import Plugins
from metabench.records.schema import FINAL, Record
from metabench.records.store import ResultsFolder
from metabench.running.cell import Cell
from metabench.running.job import Job, JobRunner, Place, Terms, place_of
from metabench.running.plan import Planned
from metabench.running.run_cell import Conditions
from metabench.running.sealing.providers import providers_of
from metabench.runtime.device import check_device
from metabench.runtime.precision import check_precision


class Watcher(Protocol):
    """An object that follows a run, such as a progress bar."""

    def started(self, planned: list[Planned]) -> None:
        """Called once with the cells that run."""

    def event(self, cell: Cell, event: dict[str, Any]) -> None:
        """Called with each event of a cell."""

    def finished(self, record: Record) -> None:
        """Called after each record is stored."""


def run_planned(
    planned: Iterable[Planned],
    plugins: Plugins,
    folder: ResultsFolder,
    resources: Resources,
    make_executor: Callable[[Terms], JobRunner],
    watchers: Iterable[Watcher] = (),
) -> list[Record]:
    """Run every planned cell that is not stored.

    Args:
        planned: The cells.
        plugins: The installed plugins.
        folder: Where records and checkpoints are stored.
        resources: What the run may use.
        make_executor: Returns what runs the jobs under some terms; see
            :func:`metabench.executors.guard.guarded`.
        watchers: Objects that follow the run.

    Returns:
        The records of all planned cells, including the stored ones, in the order of the plan.

    Raises:
        UsageError: If the device or the executor is not available, or the executor cannot keep to
            the resources.
        PluginError: If the executor is broken.
        ResultsError: If the results folder cannot be written.
        KeyboardInterrupt: If the run was interrupted. Finished cells are stored.
    """
    planned = list(planned)
    todo = [p for p in planned if p.state != "stored"]
    records = {place_of(p.cell): p.record for p in planned if p.record is not None}
    progress = _Progress(plugins, folder, list(watchers), records)
    resources = replace(resources, device=check_device(resources.device))
    check_precision(resources.precision, resources.device)
    terms = narrow(Terms, resources, registry=plugins.registry, on_event=progress.on_event)
    executor = make_executor(terms)
    if todo:
        folder.check_writable()  # now, not after the first cell has run for hours
    for watcher in progress.watchers:
        watcher.started(todo)
    # The longest first: a long cell that starts last would run when the other workers are idle.
    ordered = sorted(todo, key=lambda p: -p.work)
    jobs = [
        (
            p,
            Job(
                p.cell,
                p.key,
                _conditions(resources, folder, p),
                providers_of(p.cell, plugins.registry),
            ),
        )
        for p in ordered
    ]
    for p, job in jobs:
        if p.ended is not None:
            progress.store(job.ended(*p.ended))
    for record in executor.run([job for p, job in jobs if p.ended is None]):
        progress.store(record)
    places = [place_of(p.cell) for p in planned]
    return [records[place] for place in places if place in records]


@dataclass
class _Progress:
    """Stores the records of a run and notifies watchers and plugins."""

    plugins: Plugins
    folder: ResultsFolder
    watchers: list[Watcher]
    records: dict[Place, Record]

    def on_event(self, cell: Cell, event: dict[str, Any]) -> None:
        if event["phase"] == "load":
            names = {"algorithm": cell.algorithm, "benchmark": cell.benchmark.name}
            self.plugins.notify("metabench_cell_started", cell={**names, "seed": cell.seed})
        for watcher in self.watchers:
            watcher.event(cell, event)

    def store(self, record: Record) -> None:
        self.folder.save(record)
        if record.status in FINAL and record.status != "ok":  # a skipped cell never runs again
            self.folder.checkpoint(record.key).unlink(missing_ok=True)
        self.records[place_of(record)] = record
        for watcher in self.watchers:
            watcher.finished(record)
        self.plugins.notify("metabench_cell_finished", record=record.model_dump(mode="json"))


def _conditions(resources: Resources, folder: ResultsFolder, planned: Planned) -> Conditions:
    checkpoint = folder.checkpoint(planned.training_key or planned.key)
    if planned.fresh:  # otherwise the cell would resume, or use a finished training
        checkpoint.unlink(missing_ok=True)
    return narrow(Conditions, resources, checkpoint=checkpoint)
