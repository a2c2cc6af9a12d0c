"""Two ways to start a worker: a fresh interpreter, or a fork of one that has imported PyTorch already."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from typing import IO, Protocol

_PATIENCE = 5.0
_GLANCE = 0.2


class Worker(Protocol):
    """A worker process, as :class:`subprocess.Popen` shows it."""

    pid: int
    stdin: IO[str] | None
    stdout: IO[str] | None

    def poll(self) -> int | None:
        """Its exit code, or ``None`` while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; subprocess.TimeoutExpired where that does not come in time."""


class Launcher(Protocol):
    """Starts workers."""

    def start(self, errors: IO[str], threads: int) -> Worker:
        """Start a worker that leads a session of its own.

        Args:
            errors: a file for its stderr.
            threads: how many threads it may use.
        """

    def close(self) -> None:
        """Give up what it holds. Workers that still live are not waited for."""


class Fresh:
    """Starts a new interpreter for each worker."""

    def start(self, errors: IO[str], threads: int) -> Worker:
        """See :class:`Launcher`."""
        return subprocess.Popen(
            _module("metabench.executors.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            start_new_session=True,  # Ctrl-C is for us; we end the workers ourselves
        )

    def close(self) -> None:
        """See :class:`Launcher`."""


class Nursery:
    """Forks workers from a process that has imported PyTorch (:mod:`metabench.executors.nursery`).

    Where that process dies, its workers live on, and further ones are fresh interpreters.

    Args:
        threads: how many threads a worker may use.
    """

    possible = sys.platform == "linux"
    """Elsewhere a fork may not call the system's own libraries, or there is none."""

    def __init__(self, threads: int) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                _module("metabench.executors.nursery", theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._workers: dict[int, _Forked] = {}
        self._born: queue.Queue[_Forked | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def start(self, errors: IO[str], threads: int) -> Worker:
        """See :class:`Launcher`."""
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        try:
            socket.send_fds(self._line, [b"+"], [read_in, write_out, errors.fileno()])
            worker = self._born.get()
        except OSError:
            worker = None
        finally:
            os.close(read_in)
            os.close(write_out)
        if worker is None:
            self._born.put(None)  # for the next one that asks
            os.close(write_in)
            os.close(read_out)
            return Fresh().start(errors, threads)
        worker.stdin = open(write_in, "w", encoding="utf-8")  # noqa: SIM115
        worker.stdout = open(read_out, encoding="utf-8")  # noqa: SIM115
        return worker

    def close(self) -> None:
        """See :class:`Launcher`."""
        self._line.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        self._line.close()

    def _listen(self) -> None:
        with (
            self._line.makefile("r", encoding="utf-8") as lines,
            contextlib.suppress(OSError, ValueError),
        ):
            for line in lines:
                what = json.loads(line)
                if "born" in what:
                    worker = self._workers[what["born"]] = _Forked(what["born"])
                    self._born.put(worker)
                else:
                    self._workers.pop(what["died"]).end(what["code"])
        self._born.put(None)
        for worker in self._workers.values():
            worker.watch()


class _Forked:
    """A worker that the nursery forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.returncode: int | None = None
        self._ended = threading.Event()

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    def watch(self) -> None:
        """See its end where nobody is left who would tell; how it ended cannot be known then."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            while not self._ended.wait(_GLANCE):
                os.kill(self.pid, 0)
        self.end(-signal.SIGKILL)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode


def _module(name: str, *arguments: object) -> list[str]:
    return [
        sys.executable,
        "-P",
        "-m",
        name,
        *map(str, arguments),
    ]  # -P: nothing from the working folder
