"""A process that imports what every worker needs once, and forks a worker for each cell.

Importing PyTorch takes longer than many a cell. This process imports it, starts no thread, computes nothing
and opens no device, so that what it forks is as good as a fresh process.

It talks over a Unix socket. A request is one byte with three file descriptors: what is to be the worker's
stdin, stdout and stderr. It answers ``{"born": pid}`` when the worker leads a session of its own, and says
``{"died": pid, "code": code}`` when it has ended, one JSON a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import NoReturn

STREAMS = 3
"""A worker's stdin, stdout and stderr."""


def main() -> None:
    """Fork a worker for each request, until the socket is closed."""
    line = socket.socket(fileno=int(sys.argv[1]))
    import metabench.running.run_cell  # noqa: F401 - this is what it is for

    deaths, awake = socket.socketpair()
    for end in (deaths, awake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(awake.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(deaths, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is deaths:
                    with contextlib.suppress(BlockingIOError):
                        deaths.recv(4096)
                    _reap(line)
                    continue
                request, streams, _, _ = socket.recv_fds(line, 1, STREAMS)
                if not request:
                    return
                _say(line, {"born": _bear(streams, (line, deaths, awake))})


def _bear(streams: list[int], ours: tuple[socket.socket, ...]) -> int:
    """Fork a worker and wait until it leads a session of its own."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()  # it is ended together with all that it starts
        for end in ours:
            end.close()
        os.close(ready)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.close(tell)
        _live()
    os.close(tell)
    for stream in streams:
        os.close(stream)
    os.read(ready, 1)
    os.close(ready)
    return pid


def _live() -> NoReturn:
    """What the worker does. It never comes back into the nursery's loop."""
    from metabench.executors.worker import main as work

    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _reap(line: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(line, {"died": pid, "code": os.waitstatus_to_exitcode(status)})


def _say(line: socket.socket, what: dict[str, int]) -> None:
    line.sendall(json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
