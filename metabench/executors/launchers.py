"""Launchers of worker processes: new interpreters, or forks of a process that imported PyTorch."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Protocol

from metabench.config import SALT_VARIABLE
from metabench.executors.fork_server import INTEGER

CLOSE_SECONDS = 5.0
_POLL_SECONDS = 0.2


class WorkerProcess(Protocol):
    """A worker process, with the interface of :class:`subprocess.Popen`."""

    pid: int
    stdin: IO[str] | None
    stdout: IO[str] | None

    def poll(self) -> int | None:
        """Returns its exit code, or ``None`` while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit. Raises subprocess.TimeoutExpired if that takes longer."""


class Launcher(Protocol):
    """Starts worker processes."""

    def start(self, stderr: IO[str], threads: int) -> WorkerProcess:
        """Start a worker that leads a process group.

        Args:
            stderr: A file for its stderr.
            threads: The number of threads that it may use.
        """

    def close(self) -> None:
        """Release the launcher's resources. Running workers are not affected."""


class SpawnLauncher:
    """Starts a new interpreter for each worker."""

    def start(self, stderr: IO[str], threads: int) -> WorkerProcess:
        """See :class:`Launcher`."""
        return subprocess.Popen(
            _module("metabench.executors.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=_environment(threads),
            start_new_session=True,  # Ctrl-C reaches the run alone, which ends its workers
        )

    def close(self) -> None:
        """See :class:`Launcher`."""


class ForkLauncher:
    """Forks workers from a :mod:`metabench.executors.fork_server`.

    If the server dies, its workers go on, and further workers are new interpreters.

    Args:
        threads: The number of threads that a worker may use.
    """

    # On macOS the system libraries do not support a fork without exec; Windows has none.
    available = sys.platform == "linux"

    def __init__(self, threads: int) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                _module("metabench.executors.fork_server", theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(threads),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._server.pid

    def start(self, stderr: IO[str], threads: int) -> WorkerProcess:
        """See :class:`Launcher`."""
        try:
            return ForkedWorker(self._requests, stderr)
        except OSError:  # the server died
            return SpawnLauncher().start(stderr, threads)

    def close(self) -> None:
        """See :class:`Launcher`."""
        with contextlib.suppress(OSError):  # it died
            self._requests.shutdown(socket.SHUT_RDWR)  # unlike close, ends copies of forks as well
        self._requests.close()
        try:
            self._server.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()


class ForkedWorker:
    """A worker process that a fork server forks.

    Args:
        requests: The socket of the server.
        stderr: A file for its stderr.

    Raises:
        OSError: If the server died.
    """

    def __init__(self, requests: socket.socket, stderr: IO[str]) -> None:
        (in_read, in_write), (out_read, out_write), (status_read, status_write) = (
            os.pipe() for _ in range(3)
        )
        with contextlib.suppress(OSError):  # a dead server answers nothing, see below
            theirs = [in_read, out_write, stderr.fileno(), status_write]
            socket.send_fds(requests, [b"+"], theirs)
        for descriptor in (in_read, out_write, status_write):
            os.close(descriptor)
        pid = os.read(status_read, INTEGER.size)
        if not pid:
            for descriptor in (in_write, out_read, status_read):
                os.close(descriptor)
            raise ConnectionError("the fork server died")
        self.pid: int = INTEGER.unpack(pid)[0]
        self.stdin: IO[str] | None = open(in_write, "w", encoding="utf-8")  # noqa: SIM115
        self.stdout: IO[str] | None = open(out_read, encoding="utf-8")  # noqa: SIM115
        self._exit_code = 0
        self._exited = threading.Event()
        threading.Thread(target=self._await_exit, args=(status_read,), daemon=True).start()

    def poll(self) -> int | None:
        """See :class:`WorkerProcess`."""
        return self._exit_code if self._exited.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        """See :class:`WorkerProcess`."""
        if not self._exited.wait(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        return self._exit_code

    def _await_exit(self, status: int) -> None:
        code = os.read(status, INTEGER.size)
        os.close(status)
        if code:
            self._exit_code = INTEGER.unpack(code)[0]
        else:  # the server died, and only it could know the exit code
            while _is_running(self.pid):
                time.sleep(_POLL_SECONDS)
            self._exit_code = -signal.SIGKILL
        self._exited.set()


def _is_running(pid: int) -> bool:
    """Whether a process runs. A zombie does not; in a container it may never be reaped."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _environment(threads: int) -> dict[str, str]:
    """Returns the environment of a worker, where an algorithm must not find the salt."""
    kept = {name: value for name, value in os.environ.items() if name != SALT_VARIABLE}
    return {**kept, "OMP_NUM_THREADS": str(threads)}


def _module(name: str, *arguments: object) -> list[str]:
    # -P: a module in the working folder must not take the place of an installed one.
    return [sys.executable, "-P", "-m", name, *map(str, arguments)]
