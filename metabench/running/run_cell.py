"""Runs a cell: meta-trains an algorithm on a benchmark and meta-tests it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from metabench.benchmarks.cross_domain import CrossDomain
from metabench.benchmarks.leakage import check_contents
from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.config import CellSettings
from metabench.errors import MetabenchError, NotApplicable, PluginError
from metabench.records.schema import AlgorithmId, Record, Status, now
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.evaluator import Evaluator
from metabench.running.resolve import resolve
from metabench.running.train import train
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.memory import keep_freed_memory
from metabench.runtime.precision import computing_in
from metabench.runtime.provenance import environment
from metabench.runtime.rng_state import preserved_random_state
from metabench.utils.values import Value

EventHandler = Callable[[dict[str, Any]], None]
"""Receives the events of a cell, with the keys ``phase``, ``done``, ``total`` and ``score``."""

TRACEBACK_LENGTH = 4000


@dataclass(frozen=True, kw_only=True)
class Conditions(CellSettings):
    """The settings of one cell, with the place of its checkpoint."""

    checkpoint: Path | None = None


def run_cell(
    cell: Cell,
    registry: Registry,
    conditions: Conditions = Conditions(),
    report: EventHandler = lambda event: None,
    *,
    key: str = "",
) -> Record:
    """Meta-train and meta-test an algorithm on a benchmark with a seed, in this process.

    The algorithm runs where the answers of meta-test are, and the record says that it is not
    sealed. :func:`metabench.running.sealing.scorer.run_sealed` keeps them apart. Every error but
    KeyboardInterrupt, and those that ``report`` raises, becomes the status of the record.

    Args:
        cell: The cell.
        registry: What is installed.
        conditions: How it is run.
        report: Called with each event.
        key: Its key, for the record of a cell that fails before its key is computed.
    """
    record = new_record(cell, key)
    record.sealed = False
    try:
        with error_as_status(record), cell_settings(conditions):
            _run(cell, registry, conditions, _distinguishable(report), record)
            record.status = "ok"
    except _ReportFailed as failed:
        raise failed.error from None
    record.finished = now()
    return record


def new_record(cell: Cell, key: str = "") -> Record:
    """Returns the record of a cell that starts now.

    Args:
        cell: The cell.
        key: Its key, if that is known.
    """
    return Record(
        key=key or "0" * 64,
        algorithm=AlgorithmId(name=cell.algorithm, recipe=cell.recipe, overrides=cell.overrides),
        benchmark=cell.benchmark,
        seed=cell.seed,
        status="failed",
        started=now(),
    )


def open_cell(cell: Cell, registry: Registry, conditions: Conditions) -> BenchmarkTasks:
    """Open the benchmark of a cell under its conditions."""
    return open_tasks(
        registry,
        cell.benchmark,
        conditions.data,
        torch.device(conditions.device),
        cell.seed,
        salt=conditions.episodes_salt,
    )


def environment_of(conditions: Conditions) -> dict[str, Value | None]:
    """Returns the environment that the record of a cell states."""
    return environment(
        device=torch.device(conditions.device),
        threads=conditions.threads,
        precision=conditions.precision,
    )


def _run(
    cell: Cell, registry: Registry, conditions: Conditions, report: EventHandler, record: Record
) -> None:
    """Fill in the record step by step: a cell that fails keeps what is known by then."""
    report({"phase": "load"})
    record.environment = environment_of(conditions)
    tasks = open_cell(cell, registry, conditions)
    resolved = resolve(cell, tasks, registry)
    record.key, record.algorithm = resolved.key, resolved.algorithm
    record.data_digest = tasks.data_digest
    tasks.check()
    record.notes += check_contents(tasks.pools)
    model = train(resolved, record, conditions.checkpoint, report)
    other_datasets = CrossDomain(tasks, registry, conditions.data)
    Evaluator(tasks, resolved.metrics, other_datasets, report).test(model, record)


class _ReportFailed(BaseException):
    """Carries an error of ``report`` past the code that records the errors of a cell."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _distinguishable(report: EventHandler) -> EventHandler:
    """Returns a handler whose errors and exits are raised as :class:`_ReportFailed`."""

    def call(event: dict[str, Any]) -> None:
        try:
            report(event)
        except (Exception, SystemExit) as error:
            raise _ReportFailed(error) from error

    return call


@contextlib.contextmanager
def error_as_status(record: Record) -> Iterator[None]:
    """Turn an error inside the block into the status of the record."""
    try:
        yield
    except NotApplicable as error:
        record.status, record.reason = "skipped", error.message
    except PluginError as error:
        record.status, record.reason = "broken-plugin", error.one_line
    except MetabenchError as error:
        _fail(record, "failed", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        _fail(record, "out-of-memory", f"{type(error).__name__}: {error}")
    except SystemExit as error:  # of a plugin; it must not end the run of other cells
        _fail(record, "failed", f"it called sys.exit({error.code!r})")
    except Exception as error:
        _fail(record, "failed", f"{type(error).__name__}: {error}")


def _fail(record: Record, status: Status, reason: str) -> None:
    record.status, record.reason = status, reason
    record.traceback = traceback.format_exc()[-TRACEBACK_LENGTH:]


@contextlib.contextmanager
def cell_settings(conditions: Conditions) -> Iterator[None]:
    """Apply the settings of a cell to this process, and restore the process afterwards."""
    keep_freed_memory()
    with timing_lock.shared(), _reproducible(conditions), preserved_random_state():
        yield


@contextlib.contextmanager
def _reproducible(conditions: Conditions) -> Iterator[None]:
    """Apply threads, precision and deterministic algorithms; restore the process afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, torch.get_num_threads()
    # `benchmark` chooses kernels by their speed, so that two runs could use different ones.
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.set_num_threads(conditions.threads)
    try:
        with computing_in(conditions.precision, torch.device(conditions.device)):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before[:2]
        torch.set_num_threads(before[2])
