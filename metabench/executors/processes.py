"""Cells in worker processes: one each, so that none can harm another."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from metabench.cell import Cell, Conditions
from metabench.executors.worker import encode
from metabench.results import AlgorithmId, Record, Status

Job = tuple[Cell, str, Conditions]
"""A cell, its key, and how to run it."""

GRACE_SECONDS = 5.0
TAIL = 4000


@dataclass(eq=False)
class _Running:
    cell: Cell
    key: str
    process: subprocess.Popen[str]
    errors: IO[str]
    began: float = field(default_factory=time.monotonic)
    record: Record | None = None
    timed_out: bool = False


class ProcessExecutor:
    """Runs cells in worker processes, some at a time.

    Args:
        jobs: how many at a time.
        timeout: seconds that a cell may take; ``None`` for no end.
        on_event: called with a cell and each of its events.
    """

    def __init__(
        self,
        *,
        jobs: int,
        timeout: float | None = None,
        on_event: Callable[[Cell, dict[str, Any]], None] = lambda cell, event: None,
    ) -> None:
        self.jobs = jobs
        self.timeout = timeout
        self.on_event = on_event
        self._running: dict[int, _Running] = {}
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """Run cells and give each one's record as it ends.

        On KeyboardInterrupt the workers are ended, and a record with the status ``interrupted`` is given for
        each cell that was running, before the interrupt goes on.
        """
        waiting = list(jobs)[::-1]
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.jobs:
                    self._start(*waiting.pop())
                yield from self._wait()
        except KeyboardInterrupt:
            running = list(self._running.values())
            self.stop()
            for worker in running:
                yield _ended(worker, "interrupted", "the run was interrupted; its checkpoint is kept")
            raise
        finally:
            self.stop()

    def stop(self) -> None:
        """End every worker."""
        for worker in self._running.values():
            _end(worker.process)
            worker.errors.close()
        self._running.clear()

    def _start(self, cell: Cell, key: str, conditions: Conditions) -> None:
        errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-m", "metabench.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(conditions.threads)},
            start_new_session=True,  # Ctrl-C is for us; we end the workers ourselves
        )
        worker = _Running(cell, key, process, errors)
        self._running[process.pid] = worker
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        try:
            assert process.stdin is not None
            process.stdin.write(encode(cell, conditions) + "\n")
            process.stdin.flush()
        except OSError:
            pass  # it died at once: the listener tells

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
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
            if event["phase"] == "done":
                worker.record = Record.model_validate(event["record"])
            else:
                self.on_event(worker.cell, event)
        for worker in self._running.values():
            if self.timeout is not None and time.monotonic() - worker.began > self.timeout:
                worker.timed_out = True
                _end(worker.process)

    def _finish(self, worker: _Running) -> Record:
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            if worker.record is not None:
                return worker.record
            if worker.timed_out:
                return _ended(worker, "timeout", f"it took longer than {self.timeout:g} s")
            return _ended(worker, "failed", _cause_of_death(worker.process.returncode))
        finally:
            worker.errors.close()


def _end(process: subprocess.Popen[str]) -> None:
    """End a worker and whatever it has started."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(GRACE_SECONDS)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()


def _ended(worker: _Running, status: Status, reason: str) -> Record:
    """The record of a cell whose worker could not write it."""
    tail = ""
    if not worker.errors.closed:
        worker.errors.seek(0)
        tail = worker.errors.read()[-TAIL:]
    cell = worker.cell
    return Record(
        key=worker.key,
        algorithm=AlgorithmId(name=cell.algorithm, overrides=cell.overrides),
        benchmark=cell.benchmark,
        seed=cell.seed,
        status=status,
        reason=reason,
        traceback=tail,
    )


def _cause_of_death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed; the kernel does that where memory runs out"
    if code < 0:
        return f"its process died of signal {-code} ({signal.Signals(-code).name})"
    return f"its process ended with exit code {code} before it was done"
