"""Progress of a run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from metabench.records.schema import Record
from metabench.running.cell import Cell
from metabench.running.plan import Planned

LINE_SECONDS = 15.0
"""The time between two lines of a cell, where there is no terminal."""

PHASES = {"load": "loading", "train": "meta-training", "test": "meta-test", "measure": "measuring"}


class ProgressConsole(Console):
    """A console on stderr; if the pipe behind it is closed, the run is interrupted.

    Raises:
        KeyboardInterrupt: If stderr is a pipe that nothing reads any more.
    """

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def print(self, *objects: Any, **style: Any) -> None:
        """Print as :class:`rich.console.Console` does."""
        try:
            super().print(*objects, **style)
        except BrokenPipeError:  # rich before 13.8 does not call `on_broken_pipe`
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Discard all further output, and interrupt the run."""
        self.quiet = True  # the records of the interrupted cells are printed as well
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stderr.fileno())
        raise KeyboardInterrupt


def make_watcher(console: Console) -> Bars | Lines:
    """Returns bars if the console is a terminal, and lines otherwise."""
    return Bars(console) if console.is_terminal else Lines(console.print)


class Bars:
    """Shows a bar for all cells and one for each running cell, with its score and the time left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[score]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._all: TaskID | None = None
        self._bars: dict[str, TaskID] = {}
        self._phase: dict[str, str] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def started(self, planned: list[Planned]) -> None:
        """See :class:`metabench.running.runner.Watcher`."""
        if planned:
            self._all = self._progress.add_task("all cells", total=len(planned), score="")

    def event(self, cell: Cell, event: dict[str, Any]) -> None:
        """See :class:`metabench.running.runner.Watcher`."""
        phase = event["phase"]
        # A bar for each phase: rich estimates the time left from the speed of one bar.
        if self._phase.get(cell.title) != phase:
            self._remove(cell.title)
            self._phase[cell.title] = phase
            self._bars[cell.title] = self._progress.add_task(
                f"{cell.title}: {PHASES[phase]}",
                total=event.get("total"),
                completed=event.get("done", 0),
                score="",
            )
        self._progress.update(
            self._bars[cell.title], completed=event.get("done", 0), score=_score(event.get("score"))
        )

    def finished(self, record: Record) -> None:
        """See :class:`metabench.running.runner.Watcher`."""
        self._remove(_title(record))
        self._progress.console.print(_summary(record), markup=False, highlight=False)
        if self._all is not None:
            self._progress.advance(self._all)

    def _remove(self, title: str) -> None:
        if title in self._bars:
            self._progress.remove_task(self._bars.pop(title))
            del self._phase[title]


class Lines:
    """Prints a line when a cell starts, some while it runs, and one when it ends."""

    def __init__(self, write: Callable[..., None], *, every: float = LINE_SECONDS) -> None:
        self._write = write
        self._every = every
        self._last: dict[str, float] = {}
        self._first: dict[tuple[str, str], tuple[float, float]] = {}
        self._count = 0
        self._total = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def started(self, planned: list[Planned]) -> None:
        """See :class:`metabench.running.runner.Watcher`."""
        self._total = len(planned)

    def event(self, cell: Cell, event: dict[str, Any]) -> None:
        """See :class:`metabench.running.runner.Watcher`."""
        now = time.monotonic()
        if cell.title not in self._last:
            self._last[cell.title] = now
            self._say(f"{cell.title}: started")
        phase, done = event["phase"], event.get("done", 0)
        # Not from zero: what a resumed cell had done before took no time of this run.
        start, before = self._first.setdefault((cell.title, phase), (now, done))
        if now - self._last[cell.title] < self._every or "done" not in event:
            return
        self._last[cell.title] = now
        parts = [f"{cell.title}: {PHASES[phase]} {done / event['total']:.0%}"]
        if event.get("score") is not None:
            parts.append(_score(event["score"]))
        if done > before:
            seconds = (now - start) * (event["total"] - done) / (done - before)
            parts.append(f"{seconds:.0f} s left")
        self._say(", ".join(parts))

    def finished(self, record: Record) -> None:
        """See :class:`metabench.running.runner.Watcher`."""
        self._count += 1
        self._say(f"[{self._count}/{self._total}] {_summary(record)}")

    def _say(self, text: str) -> None:
        self._write(text, markup=False, highlight=False, soft_wrap=True)


def _title(record: Record) -> str:
    return f"{record.algorithm.name} on {record.benchmark.name}, seed {record.seed}"


def _summary(record: Record) -> str:
    if record.status != "ok":
        first_line = record.reason.partition("\n")[0]
        return f"{_title(record)}: {record.status}: {first_line}"
    text = f"{_title(record)}: {record.benchmark.metrics[0]} {_score(record.score)}"
    if record.training.steps:
        text += f" after {record.training.seconds:.0f} s of meta-training"
    return text


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"
