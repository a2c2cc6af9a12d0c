"""Progress of a run."""

import io
import re

import pytest
from rich.console import Console

from metabench.cli import progress
from metabench.cli.progress import Bars, Lines, make_watcher
from metabench.running.plan import Planned
from tests.helpers.cells import cell, make_record

CELL = cell("maml")
PLANNED = [Planned(CELL, "a" * 64, "new", "")]


def train(done: int, score: float | None = None) -> dict[str, object]:
    return {"phase": "train", "done": done, "total": 100, "score": score}


class TestLines:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [0.0]
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
        return now

    def test_a_cell_has_lines_at_its_start_while_it_runs_and_at_its_end(
        self, clock: list[float]
    ) -> None:
        lines: list[str] = []
        with Lines(lambda text, **style: lines.append(text), every=10.0) as watcher:
            watcher.started(PLANNED)
            watcher.event(CELL, {"phase": "load"})
            watcher.event(CELL, train(0))
            for second in range(1, 31):
                clock[0] = second
                watcher.event(CELL, train(second, 0.5))
            watcher.finished(make_record())
        assert lines[0] == "maml on blobs-3w1s, seed 0: started"
        assert lines[1:-1] == [
            "maml on blobs-3w1s, seed 0: meta-training 10%, 0.5000, 90 s left",
            "maml on blobs-3w1s, seed 0: meta-training 20%, 0.5000, 80 s left",
            "maml on blobs-3w1s, seed 0: meta-training 30%, 0.5000, 70 s left",
        ]
        assert lines[-1] == "[1/1] maml on blobs-3w1s, seed 0: accuracy 0.5000"

    def test_the_time_left_of_a_resumed_cell_ignores_earlier_work(self, clock: list[float]) -> None:
        lines: list[str] = []
        watcher = Lines(lambda text, **style: lines.append(text), every=10.0)
        for second in range(11):
            clock[0] = second
            watcher.event(CELL, train(80 + second // 5))
        assert lines[-1] == "maml on blobs-3w1s, seed 0: meta-training 82%, 90 s left"

    def test_a_failure_is_one_line(self) -> None:
        lines: list[str] = []
        watcher = Lines(lambda text, **style: lines.append(text))
        watcher.started(PLANNED)
        watcher.finished(
            make_record(scores=None, status="timeout", reason="it took longer\nthan it may")
        )
        assert lines == ["[1/1] maml on blobs-3w1s, seed 0: timeout: it took longer"]

    def test_zero_progress_is_shown_without_the_time_left(self, clock: list[float]) -> None:
        lines: list[str] = []
        watcher = Lines(lambda text, **style: lines.append(text), every=0.0)
        watcher.event(CELL, train(0))
        assert lines[-1].endswith("meta-training 0%")

    def test_names_are_not_interpreted_as_markup(self) -> None:
        stream = io.StringIO()
        watcher = make_watcher(Console(file=stream, width=200))
        watcher.event(cell("[red]x[/red]"), {"phase": "load"})
        assert stream.getvalue() == "[red]x[/red] on blobs-3w1s, seed 0: started\n"


class TestBars:
    def shown(self, *events: dict[str, object], end: bool) -> str:
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=True, width=160)
        watcher = make_watcher(console)
        assert isinstance(watcher, Bars)
        with watcher:
            watcher.started(PLANNED)
            for event in events:
                watcher.event(CELL, event)
            watcher._progress.refresh()
            if end:
                watcher.finished(make_record())
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())

    def test_a_running_cell_has_a_bar_with_its_phase_share_and_score(self) -> None:
        text = self.shown({"phase": "load"}, train(25, 0.4321), end=False)
        assert "all cells" in text
        assert re.search(r"maml on blobs-3w1s, seed 0: meta-training .* 25 % 0\.4321", text)

    def test_a_finished_cell_has_a_line_and_is_counted(self) -> None:
        last = self.shown({"phase": "load"}, train(25), end=True).rstrip().splitlines()
        assert "maml on blobs-3w1s, seed 0: accuracy 0.5000" in "".join(last)
        assert re.search(r"all cells .* 100 %", last[-1])

    def test_a_console_that_is_not_a_terminal_has_lines(self) -> None:
        assert isinstance(make_watcher(Console(file=io.StringIO())), Lines)
