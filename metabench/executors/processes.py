"""Cells in worker processes: one each, so that none can harm another."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

from metabench.executors.base import Executor
from metabench.executors.launch import Fresh, Launcher, Nursery, Worker
from metabench.records.schema import Record, Status, now
from metabench.running.job import Job, Terms

GRACE_SECONDS = 5.0
TAIL = 4000


@dataclass(eq=False)
class _Running:
    job: Job
    process: Worker
    errors: IO[str]
    began: float = field(default_factory=time.monotonic)
    started: str = field(default_factory=now)
    listener: threading.Thread | None = None
    record: Record | None = None
    done: float = math.inf
    timed_out: bool = False


class ProcessExecutor(Executor):
    """Runs cells in worker processes, some at a time: one for each core by default, or one on a GPU.

    Args:
        terms: what the run asks for.
        forks: fork the workers, where the system can, from a process that has imported PyTorch.
    """

    name: ClassVar[str] = "processes"

    def __init__(self, terms: Terms, *, forks: bool = True) -> None:
        super().__init__(terms)
        on_gpu = terms.device.startswith("cuda")
        self.jobs = terms.jobs or (1 if on_gpu else max(1, (os.cpu_count() or 1) // terms.threads))
        self.timeout = terms.timeout
        self.forks = forks
        self._launcher: Launcher = Fresh()
        self._running: dict[int, _Running] = {}
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """See :class:`Executor`.

        On KeyboardInterrupt the workers are ended, and a record with the status ``interrupted`` is given for
        each cell that was running, before the interrupt goes on.
        """
        waiting = list(jobs)[::-1]
        self._launcher = self._choose_launcher([conditions.threads for _, _, conditions in waiting])
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.jobs:
                    self._start(waiting.pop())
                yield from self._wait()
        except KeyboardInterrupt:
            running = list(self._running.values())
            self.stop()
            self._drain(running)
            for worker in running:
                yield worker.record or _ended(
                    worker, "interrupted", "the run was interrupted; its checkpoint is kept"
                )
            raise
        finally:
            self.stop()
            self._launcher.close()

    def _choose_launcher(self, threads: list[int]) -> Launcher:
        """A nursery pays from the second cell on."""
        if self.forks and Nursery.possible and len(threads) > 1:
            return Nursery(max(threads))
        return Fresh()

    def stop(self) -> None:
        """End every worker."""
        for worker in self._running.values():
            _end(worker.process)
            _close(worker)
        self._running.clear()

    def _drain(self, workers: list[_Running]) -> None:
        """A cell that was done when the interrupt came is done."""
        by_pid = {worker.process.pid: worker for worker in workers}
        with contextlib.suppress(queue.Empty):
            while True:
                pid, event = self._events.get_nowait()
                if pid in by_pid and event is not None and event["phase"] == "done":
                    self._take(by_pid[pid], event)

    def _start(self, job: Job) -> None:
        errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        process = self._launcher.start(errors, job.conditions.threads)
        worker = _Running(job, process, errors)
        self._running[process.pid] = worker
        worker.listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        worker.listener.start()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it died at once: the listener tells
            process.stdin.write(job.line() + "\n")
            process.stdin.flush()

    def _listen(self, process: Worker) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with contextlib.suppress(ValueError):  # it was killed in the middle of a line
                    self._events.put((process.pid, json.loads(line)))
        process.wait()
        self._events.put((process.pid, None))

    def _wait(self) -> Iterator[Record]:
        """Handle the next event, or what the clock brings."""
        try:
            pid, event = self._events.get(timeout=0.2)
        except queue.Empty:
            pid, event = 0, {}
        worker = self._running.get(pid)
        if worker is not None and event is None:
            del self._running[pid]
            yield self._finish(worker)
        elif worker is not None and event:
            self._take(worker, event)
        clock = time.monotonic()
        for worker in self._running.values():
            if (
                self.timeout is not None
                and clock - worker.began > self.timeout
                and worker.record is None
            ):
                worker.timed_out = True
                _end(worker.process)
            # What it has started may hold on to its pipe, or keep it from ending though its cell is done.
            elif worker.process.poll() is not None or clock - worker.done > GRACE_SECONDS:
                _end(worker.process)

    def _take(self, worker: _Running, event: dict[str, Any]) -> None:
        if event["phase"] == "done":
            worker.record = Record.model_validate(event["record"])
            worker.done = time.monotonic()
        else:
            self.terms.on_event(worker.job.cell, event)

    def _finish(self, worker: _Running) -> Record:
        try:
            if worker.record is not None:
                return worker.record
            if worker.timed_out:
                return _ended(worker, "timeout", f"it took longer than {self.timeout:g} s")
            return _ended(worker, "failed", _cause_of_death(worker.process.wait()))
        finally:
            _close(worker)


def _end(process: Worker) -> None:
    """End a worker and whatever it has started."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _close(worker: _Running) -> None:
    """Close what leads to a worker that has ended."""
    if worker.process.stdin is not None:
        with contextlib.suppress(OSError):  # what it never read
            worker.process.stdin.close()
    if worker.listener is not None:
        worker.listener.join()
    worker.errors.close()


def _ended(worker: _Running, status: Status, reason: str) -> Record:
    """The record of a cell whose worker could not write it."""
    tail = ""
    if not worker.errors.closed:
        worker.errors.seek(0)
        tail = worker.errors.read()[-TAIL:]
    return worker.job.ended(status, reason, traceback=tail, started=worker.started)


def _cause_of_death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed; the kernel does that where memory runs out"
    if code < 0:
        return f"its process died of signal {-code} ({signal.Signals(-code).name})"
    return f"its process ended with exit code {code} before it was done"
