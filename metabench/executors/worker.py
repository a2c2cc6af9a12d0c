"""A worker process: runs the job on its stdin and writes the events to its stdout."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from metabench.records.schema import Record
    from metabench.running.run_cell import EventHandler
    from metabench.running.sealing.worker import Worker


# As the fork server: elsewhere a fork without exec is not safe, or does not exist.
_FORKS = sys.platform == "linux"


def main() -> None:
    """Run the job on stdin; see :meth:`metabench.running.job.Job.line`."""
    events = _reserve_stdout()
    worker = _fork_worker(events) if _FORKS else None
    line = sys.stdin.readline()
    threading.Thread(target=_exit_with_parent, daemon=True).start()

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    record = _run_here(line, report) if worker is None else _run_sealed(line, worker, report)
    report({"phase": "done", "record": record.model_dump(mode="json")})
    if worker is not None:
        if record.status != "ok":  # it may train on, for a scorer that has failed
            os.kill(worker.pid, signal.SIGKILL)
        worker.wait()  # so that its time counts as that of this process's children


def _fork_worker(events: TextIO) -> Worker:
    """Fork the process of the algorithm, before this one knows anything that it must not."""
    from metabench.running.sealing.worker import fork_worker
    from metabench.utils.child_process import hide_memory

    worker = fork_worker(close=[events.fileno()])
    # SIGTERM reaches both: the worker writes its checkpoint before it ends, and this process ends
    # as it does.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hide_memory()
    return worker


def _run_sealed(line: str, worker: Worker, report: EventHandler) -> Record:
    from metabench.running.job import Job
    from metabench.running.sealing.channel import ChannelClosed
    from metabench.running.sealing.scorer import run_sealed
    from metabench.utils.child_process import exit_like

    try:
        return run_sealed(Job.from_line(line), worker.channel, report)
    except ChannelClosed:
        # The executor reports how this process ended, so that it must end as the algorithm's did.
        exit_like(worker.wait())


def _run_here(line: str, report: EventHandler) -> Record:
    """Run the job in this process: without a fork the algorithm cannot have one of its own."""
    from metabench.plugins import installed_plugins
    from metabench.running.job import Job

    return Job.from_line(line).run(installed_plugins().registry, report)


def _reserve_stdout() -> TextIO:
    """Returns stdout for the events, and redirects all other output to stderr."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _exit_with_parent() -> None:
    """Kill this process and those it started when stdin is closed, which means the parent ended."""
    while os.read(0, 4096):  # not sys.stdin: the interpreter would wait for its lock at exit
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
