"""A worker process: reads one cell from stdin, runs it, and writes its events to stdout, one JSON a line."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Run the cell that stands on stdin."""
    events = _own_stdout()
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()

    from metabench.benchmarks.model import Benchmark
    from metabench.plugins import installed_plugins
    from metabench.running.cell import Cell
    from metabench.running.run_cell import Conditions, run_cell

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    cell = Cell(
        job["algorithm"],
        Benchmark.model_validate(job["benchmark"]),
        job["seed"],
        job["overrides"],
        tuple(job["metrics"]),
    )
    conditions = Conditions(
        device=job["device"],
        threads=job["threads"],
        precision=job["precision"],
        data=None if job["data"] is None else Path(job["data"]),
        checkpoint=None if job["checkpoint"] is None else Path(job["checkpoint"]),
    )
    record = run_cell(cell, installed_plugins().registry, conditions, report, key=job["key"])
    report({"phase": "done", "record": record.model_dump(mode="json")})


def _own_stdout() -> TextIO:
    """Take stdout for the events alone; whatever else is printed goes to stderr."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _die_with_parent() -> None:
    """End with everything that was started here when stdin ends: the parent keeps it open while it lives."""
    while os.read(0, 4096):  # not sys.stdin, whose lock would be held when the interpreter ends
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
