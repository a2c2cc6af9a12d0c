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
from metabench.benchmarks.tasks import open_tasks
from metabench.config import CellSettings
from metabench.errors import MetabenchError, NotApplicable, PluginError
from metabench.records.schema import AlgorithmId, Record, Status, now
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.evaluator import Evaluator
from metabench.running.resolve import resolve
from metabench.running.trainer import Trainer
from metabench.runtime.counter_rng import make_key
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.memory import keep_freed_memory
from metabench.runtime.precision import computing_in
from metabench.runtime.provenance import environment
from metabench.runtime.rng_state import preserved_random_state, seed_everything
from metabench.utils.text import counted

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
    """Meta-train and meta-test an algorithm on a benchmark with a seed.

    Every error but KeyboardInterrupt becomes the status of the record.

    Args:
        cell: The cell.
        registry: What is installed.
        conditions: How it is run.
        report: Called with each event.
        key: Its key, for the record of a cell that fails before its key is computed.
    """
    keep_freed_memory()
    record = Record(
        key=key or "0" * 64,
        algorithm=AlgorithmId(name=cell.algorithm, recipe=cell.recipe, overrides=cell.overrides),
        benchmark=cell.benchmark,
        seed=cell.seed,
        status="failed",
        started=now(),
    )
    with (
        _error_as_status(record),
        timing_lock.shared(),
        _reproducible(conditions),
        preserved_random_state(),
    ):
        _run(cell, registry, conditions, report, record)
        record.status = "ok"
    record.finished = now()
    return record


def _run(
    cell: Cell, registry: Registry, conditions: Conditions, report: EventHandler, record: Record
) -> None:
    """Fill in the record step by step: a cell that fails keeps what is known by then."""
    report({"phase": "load"})
    device = torch.device(conditions.device)
    record.environment = environment(
        device=device, threads=conditions.threads, precision=conditions.precision
    )
    tasks = open_tasks(registry, cell.benchmark, conditions.data, device, cell.seed)
    resolved = resolve(cell, tasks, registry)
    record.key, record.algorithm = resolved.key, resolved.algorithm
    record.data_digest = tasks.data_digest
    tasks.check()

    # Here and not earlier: what loading plugins and data sets draws must not change a parameter.
    seed_everything(make_key("cell", cell.benchmark.title, cell.seed))
    algorithm = resolved.make_algorithm()
    other_datasets = CrossDomain(tasks, registry, conditions.data)
    evaluator = Evaluator(resolved, algorithm, other_datasets, report)

    trainer = Trainer(
        algorithm,
        tasks,
        budget=resolved.budget,
        validate=evaluator.validate,
        direction=evaluator.ranking.direction,
        key=resolved.key,
        checkpoint=conditions.checkpoint,
        report=lambda done, score: report(
            {"phase": "train", "done": done, "total": resolved.budget, "score": score}
        ),
    )
    try:
        trainer.run()
    finally:  # a training that diverges keeps its learning curve in the record
        record.training = trainer.training
    if algorithm.offers("meta_train") and not record.training.examples:
        budget = counted(resolved.budget, "example")
        record.notes.append(
            f"meta-training drew nothing: an outer step exceeds the budget, {budget}"
        )

    evaluator.test(record)


@contextlib.contextmanager
def _error_as_status(record: Record) -> Iterator[None]:
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
