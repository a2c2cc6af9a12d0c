"""A fork server: imports PyTorch once, and forks a worker process for each cell.

It serves requests over a Unix socket until that is closed. A request is one byte with four file
descriptors: the worker's stdin, stdout and stderr, and the write end of a status pipe. The server
writes to that pipe the worker's process id and, when the worker has exited, its exit code, each as
a native 32-bit integer.
"""

# Importing PyTorch takes 2 to 4 s, longer than many cells; a fork takes 0.02 s. The server starts
# no thread, computes nothing and opens no device, so its forks are as good as new interpreters.
#
# Not multiprocessing's forkserver (Python 3.11), which starts a worker as fast: it runs the user's
# main script again in each worker, so that `metabench.run` fails in a script without a __main__
# guard; all runs of a process share one server with the environment of the first (threads, plugins,
# CUDA_VISIBLE_DEVICES); and when it dies, its live workers count as exited.
# Not pebble (5.2): its time limit ends the worker but not the processes that the worker started.
from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import sys

from metabench.utils.child_process import run_and_exit

INTEGER = struct.Struct("=i")
DESCRIPTORS = 4
"""The worker's stdin, stdout and stderr, and the status pipe."""


def main() -> None:
    """Fork a worker for each request until the socket is closed."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    import metabench.running.sealing.worker  # noqa: F401 - the import that the workers share

    # The handler itself may run late, while `select` waits; the wake-up descriptor ends the wait.
    exits, wake_up = socket.socketpair()
    for end in (exits, wake_up):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake_up.fileno(), warn_on_full_buffer=False)
    status_pipes: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(exits, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is exits:
                    with contextlib.suppress(BlockingIOError):
                        exits.recv(4096)
                    _report_exits(status_pipes)
                    continue
                request, descriptors, _, _ = socket.recv_fds(requests, 1, DESCRIPTORS)
                if not request:
                    return
                *streams, status = descriptors
                own = [requests.fileno(), exits.fileno(), wake_up.fileno(), *status_pipes.values()]
                pid = _fork_worker(streams, [*own, status])
                status_pipes[pid] = status
                _write(status, pid)


def _fork_worker(streams: list[int], own: list[int]) -> int:
    """Fork a worker that leads a process group. Returns its process id.

    Args:
        streams: Its stdin, stdout and stderr.
        own: The descriptors that it must not inherit.
    """
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # so that it can be killed together with all processes that it starts
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in own:
            os.close(descriptor)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        run_and_exit(_work)  # not sys.exit: the exit handlers are the server's
    with contextlib.suppress(OSError):  # in parent and child: either may run first
        os.setpgid(pid, pid)
    for stream in streams:
        os.close(stream)
    return pid


def _work() -> None:
    from metabench.executors.worker import main

    main()


def _report_exits(status_pipes: dict[int, int]) -> None:
    """Write the exit code of every worker that has exited to its status pipe."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            pipe = status_pipes.pop(pid)
            _write(pipe, os.waitstatus_to_exitcode(status))
            os.close(pipe)


def _write(pipe: int, value: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the run was given up
        os.write(pipe, INTEGER.pack(value))


if __name__ == "__main__":
    main()
