"""The executor ``processes``: a worker process for each cell."""

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
from metabench.executors.launchers import ForkLauncher, Launcher, SpawnLauncher, WorkerProcess
from metabench.records.schema import Record, Status, now
from metabench.running.job import Job, Terms
from metabench.running.run_cell import TRACEBACK_LENGTH

GRACE_SECONDS = 5.0
"""How long a worker may take to exit after SIGTERM, or after its record."""

_POLL_SECONDS = 0.2


@dataclass(eq=False)
class _Worker:
    """A running cell."""

    job: Job
    process: WorkerProcess
    stderr: IO[str]
    start: float = field(default_factory=time.monotonic)
    started: str = field(default_factory=now)
    listener: threading.Thread | None = None
    record: Record | None = None
    done: float = math.inf
    timed_out: bool = False


class ProcessExecutor(Executor):
    """Runs cells in worker processes: one for each core at a time by default, or one on a GPU.

    Args:
        terms: What the run requires.
        forks: Whether to fork workers from a process that has imported PyTorch, if the system
            supports it.
    """

    name: ClassVar[str] = "processes"

    def __init__(self, terms: Terms, *, forks: bool = True) -> None:
        super().__init__(terms)
        on_gpu = terms.device.startswith("cuda")
        cores = max(1, (os.cpu_count() or 1) // terms.threads)
        self.jobs = terms.jobs or (1 if on_gpu else cores)
        self.timeout = terms.timeout
        self.forks = forks
        self._launcher: Launcher = SpawnLauncher()
        self._workers: dict[int, _Worker] = {}
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """See :class:`Executor`.

        On KeyboardInterrupt it ends the workers and yields a record with the status ``interrupted``
        for each running cell before it raises the interrupt again.
        """
        waiting = list(jobs)[::-1]
        self._launcher = self._make_launcher(waiting)
        try:
            while waiting or self._workers:
                while waiting and len(self._workers) < self.jobs:
                    self._start(waiting.pop())
                yield from self._wait()
        except KeyboardInterrupt:
            workers = list(self._workers.values())
            self.stop()
            self._drain(workers)
            for worker in workers:
                yield worker.record or _ended(worker, "interrupted", _interrupt_reason(worker.job))
            raise
        finally:
            self.stop()
            self._launcher.close()

    def _make_launcher(self, jobs: list[Job]) -> Launcher:
        # For a single cell the fork server would import PyTorch as long as the worker itself.
        if self.forks and ForkLauncher.available and len(jobs) > 1:
            return ForkLauncher(max(job.conditions.threads for job in jobs))
        return SpawnLauncher()

    def stop(self) -> None:
        """End every worker."""
        _end(*(worker.process for worker in self._workers.values()))
        for worker in self._workers.values():
            _close(worker)
        self._workers.clear()

    def _drain(self, workers: list[_Worker]) -> None:
        """Take the records of cells that had finished when the interrupt came."""
        by_pid = {worker.process.pid: worker for worker in workers}
        with contextlib.suppress(queue.Empty):
            while True:
                pid, event = self._events.get_nowait()
                if pid in by_pid and event is not None and event["phase"] == "done":
                    self._handle(by_pid[pid], event)

    def _start(self, job: Job) -> None:
        stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        process = self._launcher.start(stderr, job.conditions.threads)
        worker = _Worker(job, process, stderr)
        self._workers[process.pid] = worker
        worker.listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        worker.listener.start()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it exited at once, and the listener reports that
            process.stdin.write(job.line() + "\n")
            process.stdin.flush()

    def _listen(self, process: WorkerProcess) -> None:
        """Queue the events of a worker, and ``None`` when it has exited."""
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with contextlib.suppress(ValueError):  # it was killed in the middle of a line
                    self._events.put((process.pid, json.loads(line)))
        process.wait()
        self._events.put((process.pid, None))

    def _wait(self) -> Iterator[Record]:
        """Handle the next event, and end the workers whose time is over."""
        try:
            pid, event = self._events.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            pid, event = 0, {}
        worker = self._workers.get(pid)
        if worker is not None and event is None:
            del self._workers[pid]
            yield self._finish(worker)
        elif worker is not None and event:
            self._handle(worker, event)
        clock = time.monotonic()
        for worker in self._workers.values():
            overdue = self.timeout is not None and clock - worker.start > self.timeout
            if overdue and worker.record is None:
                worker.timed_out = True
                _end(worker.process)
            # Processes that it started may keep its stdout open after its exit, or keep it from
            # exiting after its record.
            elif worker.process.poll() is not None or clock - worker.done > GRACE_SECONDS:
                _end(worker.process)

    def _handle(self, worker: _Worker, event: dict[str, Any]) -> None:
        if event["phase"] == "done":
            worker.record = Record.model_validate(event["record"])
            worker.done = time.monotonic()
        else:
            self.terms.on_event(worker.job.cell, event)

    def _finish(self, worker: _Worker) -> Record:
        """Returns the record of a worker that has exited."""
        try:
            if worker.record is not None:
                return worker.record
            if worker.timed_out:
                return _ended(worker, "timeout", f"it took longer than {self.timeout:g} s")
            return _ended(worker, "failed", _exit_reason(worker.process.wait()))
        finally:
            _close(worker)


def _end(*processes: WorkerProcess) -> None:
    """End workers and every process in their groups: first SIGTERM, then SIGKILL."""
    # SIGTERM to all before the first wait: a worker in training writes its checkpoint.
    for process in processes:
        if process.poll() is None:
            _signal(process, signal.SIGTERM)
    end = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: WorkerProcess, number: signal.Signals) -> None:
    """Send a signal to a worker and to every process in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _close(worker: _Worker) -> None:
    """Close the pipes and files of a worker that has exited."""
    if worker.process.stdin is not None:
        with contextlib.suppress(OSError):  # data that it never read
            worker.process.stdin.close()
    if worker.listener is not None:
        worker.listener.join()
    worker.stderr.close()


def _ended(worker: _Worker, status: Status, reason: str) -> Record:
    """Returns the record of a worker that could not write it, with the end of its stderr."""
    tail = ""
    if not worker.stderr.closed:
        worker.stderr.seek(0)
        tail = worker.stderr.read()[-TRACEBACK_LENGTH:]
    return worker.job.ended(status, reason, traceback=tail, started=worker.started)


def _interrupt_reason(job: Job) -> str:
    checkpoint = job.conditions.checkpoint
    kept = checkpoint is not None and checkpoint.exists()
    rest = "; its checkpoint is kept" if kept else " before its first checkpoint"
    return f"the run was interrupted{rest}"


def _exit_reason(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed, as the kernel does when memory runs out"
    if code < 0:
        return f"its process was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"its process exited with code {code} before it finished"
