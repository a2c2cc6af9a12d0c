"""The scorer of a sealed cell: draws the test episodes and scores the predictions of the worker."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict

from metabench.benchmarks.cross_domain import CrossDomain
from metabench.benchmarks.leakage import check_contents
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.config import parse_list
from metabench.errors import CellFailed
from metabench.plugins import OWN_DISTRIBUTION, Plugins
from metabench.recipes.resolve import BUDGET
from metabench.records.schema import AlgorithmId, Code, Record, Status, Training, key_of, now
from metabench.registry import Registry
from metabench.running.evaluator import Evaluator
from metabench.running.job import Job
from metabench.running.resolve import resolve_metrics
from metabench.running.run_cell import (
    EventHandler,
    cell_settings,
    environment_of,
    error_as_status,
    new_record,
    open_cell,
)
from metabench.running.sealing.channel import Channel, Message
from metabench.running.sealing.client import RemoteModel
from metabench.running.sealing.service import CLOSE
from metabench.running.train import note_empty_training
from metabench.runtime.exclusive import timing_lock


class _Outcome(BaseModel):
    """How meta-training ended in the worker; it is not trusted."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    status: Status
    reason: str
    traceback: str
    training: Training
    code: Code
    model: dict[str, Any] = {}


def run_sealed(job: Job, channel: Channel, report: EventHandler) -> Record:
    """Run a cell whose algorithm is in another process, which never has the answers of meta-test.

    Every error but KeyboardInterrupt becomes the status of the record.

    Args:
        job: The cell.
        channel: The channel to :func:`metabench.running.sealing.worker.fork_worker`.
        report: Called with each event.

    Raises:
        ChannelClosed: If the worker ended by itself.
    """
    record = new_record(job.cell, job.key)
    with error_as_status(record), cell_settings(job.conditions):
        report({"phase": "load"})
        channel.send("job", {"line": job.without_salt().line()})
        _score(job, channel, report, record)
    channel.close()
    record.finished = now()
    return record


def _score(job: Job, channel: Channel, report: EventHandler, record: Record) -> None:
    """Fill in the record step by step: a cell that fails keeps what is known by then."""
    cell, conditions = job.cell, job.conditions
    record.environment = environment_of(conditions)
    registry = _registry(job)
    tasks = open_cell(cell, registry, conditions)
    digest = tasks.data_digest
    channel.send("data", {"digest": digest})
    trained = _follow_training(tasks, _others(job), channel, report, record)
    record.data_digest = digest
    if trained is None:
        return
    outcome, seen = trained
    tasks.audit.load_state_dict({"seen": seen.tensors[0]})
    model = RemoteModel(channel, tasks.problem(registry), outcome.model)
    other_datasets = CrossDomain(tasks, registry, conditions.data)
    metrics = resolve_metrics(cell, registry)
    Evaluator(tasks, metrics, other_datasets, report).test(model, record)
    channel.send(CLOSE)
    record.status = "ok"


def _registry(job: Job) -> Registry:
    """Returns what is installed of the distributions that the answers need."""
    without = parse_list(os.environ.get("METABENCH_NO_PLUGINS", ""))
    return Plugins(only=_others(job), without=without).registry


def _others(job: Job) -> list[str]:
    """Returns the distributions whose code this process imports, besides metabench."""
    return [name for name in job.providers if name != OWN_DISTRIBUTION]


def _follow_training(
    tasks: BenchmarkTasks,
    providers: Collection[str],
    channel: Channel,
    report: EventHandler,
    record: Record,
) -> tuple[_Outcome, Message] | None:
    """Follow the worker to the end of meta-training. Returns nothing if that failed."""
    while True:
        # While the worker trains, this process waits: it must not keep another cell from timing
        # something alone.
        with timing_lock.released():
            message = channel.receive()
        if message.kind == "resolved":
            _identify(message, tasks.data_digest, providers, record)
            tasks.check()
            record.notes += check_contents(tasks.pools)
        elif message.kind == "event":
            _forward(message, report)
        elif message.kind in ("trained", "ended"):
            outcome = _Outcome.model_validate(message.values)
            record.training, record.code = outcome.training, outcome.code
            if message.kind == "trained":
                note_empty_training(record, int(record.algorithm.hyperparameters[BUDGET]))
                return outcome, message
            if outcome.status == "ok":
                raise CellFailed("the process of the algorithm ended without a model.")
            record.status, record.reason = outcome.status, outcome.reason
            record.traceback = outcome.traceback
            return None
        else:
            raise CellFailed(f"the process of the algorithm sent '{message.kind}' in training.")


def _identify(
    message: Message, data_digest: str, providers: Collection[str], record: Record
) -> None:
    """Take the identity of the algorithm, which only the worker can resolve, into the record."""
    algorithm = AlgorithmId.model_validate(message.values["algorithm"])
    if algorithm.name != record.algorithm.name:
        raise CellFailed(f"the process of '{record.algorithm.name}' ran '{algorithm.name}'.")
    record.algorithm = algorithm
    record.sealed = algorithm.distribution not in providers
    if not record.sealed:
        where = f"'{algorithm.distribution}', which provides the data or a metric too"
        record.notes.append(f"not sealed: the process with the answers imports {where}")
    record.key = key_of(algorithm, record.benchmark, record.seed, data_digest)


def _forward(message: Message, report: EventHandler) -> None:
    """Forward the progress of training. Another event could state a record."""
    if message.values.get("phase") == "train":
        report(message.values)
