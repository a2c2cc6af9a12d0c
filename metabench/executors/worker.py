"""A worker process: runs the job on its stdin and writes the events to its stdout."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, TextIO


def main() -> None:
    """Run the job on stdin; see :meth:`metabench.running.job.Job.line`."""
    events = _reserve_stdout()
    line = sys.stdin.readline()
    threading.Thread(target=_exit_with_parent, daemon=True).start()

    from metabench.plugins import installed_plugins
    from metabench.running.job import Job

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    record = Job.from_line(line).run(installed_plugins().registry, report)
    report({"phase": "done", "record": record.model_dump(mode="json")})


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
