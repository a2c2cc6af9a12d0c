"""The worker of a sealed cell: trains the algorithm, then predicts what the scorer asks for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from metabench.metrics.local_model import LocalModel
from metabench.plugins import installed_plugins
from metabench.records.schema import Record
from metabench.running.job import Job
from metabench.running.resolve import resolve
from metabench.running.run_cell import cell_settings, error_as_status, new_record, open_cell
from metabench.running.sealing.channel import Channel, ChannelClosed
from metabench.running.sealing.service import declared, serve
from metabench.running.train import train
from metabench.runtime.exclusive import timing_lock
from metabench.utils.child_process import end_with_parent, run_and_exit


@dataclass(frozen=True)
class Worker:
    """The process of an algorithm.

    Attributes:
        channel: The channel to it.
        pid: Its process id.
    """

    channel: Channel
    pid: int

    def wait(self) -> int:
        """Wait until it ends. Returns its status, as ``os.waitpid`` does."""
        return os.waitpid(self.pid, 0)[1]


def fork_worker(close: Sequence[int]) -> Worker:
    """Fork the worker from the process of the scorer.

    Call it before the scorer reads its job, so that the worker inherits no secret.

    Args:
        close: File descriptors of the scorer that the worker must not have.
    """
    worker_reads, scorer_writes = os.pipe()
    scorer_reads, worker_writes = os.pipe()
    scorer = os.getpid()
    pid = os.fork()
    if pid == 0:
        end_with_parent(scorer)
        for descriptor in (*close, scorer_reads, scorer_writes):
            os.close(descriptor)
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)  # the job, with the salt, is on the stdin of the scorer
        os.close(empty)
        run_and_exit(lambda: _work(Channel(worker_reads, worker_writes)))
    for descriptor in (worker_reads, worker_writes):
        os.close(descriptor)
    return Worker(Channel(scorer_reads, scorer_writes), pid)


def _work(channel: Channel) -> None:
    try:
        job = Job.from_line(channel.receive().values["line"])
        record = new_record(job.cell, job.key)
        with cell_settings(job.conditions):
            model = _trained(job, record, channel)
            if model is not None:
                serve(channel, model, torch.device(job.conditions.device))
    except ChannelClosed:  # the scorer ended, with an error of its own
        pass


def _trained(job: Job, record: Record, channel: Channel) -> LocalModel | None:
    """Train the algorithm and tell the scorer. Returns nothing if it failed."""
    models: list[LocalModel] = []
    with error_as_status(record):
        registry = installed_plugins().registry
        opened = open_cell(job.cell, registry, job.conditions)
        tasks = opened.without_test(lambda: _data_digest(channel))
        resolved = resolve(job.cell, tasks, registry)
        identity = resolved.algorithm.model_dump(mode="json")
        channel.send("resolved", {"algorithm": identity})
        tasks.check()

        def report(event: dict[str, Any]) -> None:
            channel.send("event", event)

        model = train(resolved, record, job.conditions.checkpoint, report)
        seen = tasks.audit.state_dict()["seen"]
        channel.send("trained", _facts(record) | {"model": declared(model)}, seen)
        models.append(model)
    if not models:
        channel.send("ended", _facts(record))
    return models[0] if models else None


def _data_digest(channel: Channel) -> str:
    """Wait for the digest of all data, which the scorer computes."""
    with timing_lock.released():
        return str(channel.receive().values["digest"])


def _facts(record: Record) -> dict[str, Any]:
    """Returns what the scorer takes into its record."""
    names = {"status", "reason", "traceback", "training", "code"}
    return record.model_dump(mode="json", include=names)
