"""``metabench run`` with worker processes: interrupts, time limits and a real terminal."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cells import child_environment, records_in

ESCAPE = "\x1b"


def wait_for(condition: Callable[[], Any], seconds: float = 240.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


def children_of(pid: int) -> list[int]:
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in paths for child in path.read_text().split()]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@contextlib.contextmanager
def running(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """``metabench`` as a process of its own, ended at the latest with the test."""
    command = [sys.executable, "-m", "metabench", *map(str, arguments)]
    # Where the tests run in the background of a shell, an interrupt is ignored, and would be here.
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, env=child_environment(), text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.timeout(600)  # two processes import torch, one after the other
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_workers_and_keeps_finished_cells(
    metabench, suite, here: Path, tmp_path, monkeypatch, number: signal.Signals
) -> None:
    command = ("run", "-a", "drifter", "-a", "slow", "--suite", suite, "--jobs", 2, "--json")
    with running(*command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(lambda: list(here.rglob("drifter-*.json")))
        wait_for(lambda: len(children_of(process.pid)) == 1)
        (worker,) = children_of(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert not is_alive(worker)
    assert "interrupted; finished cells are stored." in err
    assert "Traceback" not in err
    assert out == ""
    records = records_in(here / "results")
    assert {name: record.status for name, record in records.items()} == {
        "drifter": "ok",
        "slow": "interrupted",
    }

    monkeypatch.setenv("PLANTED_SECONDS", "0")
    again = metabench(*command)
    assert again.code == 0, again.err
    assert "2 cells: 1 stored, 1 to run" in again.err
    assert {row["algorithm"]: row["status"] for row in again.document} == {
        "drifter": "ok",
        "slow": "ok",
    }
    assert records_in(here / "results")["drifter"] == records["drifter"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("executor", ["processes", "in-process"])
def test_a_closed_pipe_of_the_progress_interrupts_the_run(
    suite: Path, here: Path, executor: str
) -> None:
    """As in ``metabench run 2>&1 | head -1``: no cell is to blame for it."""
    command = ("run", "-a", "drifter", "-a", "learner", "--suite", suite, "--jobs", 1)
    read, write = os.pipe()
    with running(*command, "--executor", executor, cwd=here, stdout=write, stderr=write) as process:
        os.close(write)
        with os.fdopen(read) as pipe:
            assert "2 cells: 0 stored, 2 to run" in pipe.readline()
        assert process.wait(timeout=240) == 130
    found = records_in(here / "results") if (here / "results" / "records").exists() else {}
    assert {record.status for record in found.values()} <= {"interrupted", "ok"}


def test_a_cell_that_takes_too_long_has_the_status_timeout(
    metabench, suite: Path, here: Path
) -> None:
    ended = metabench("run", "-a", "slow", "--suite", suite, "--timeout", "3", "--json")
    assert ended.code == 1
    assert [(row["status"], row["reason"]) for row in ended.document] == [
        ("timeout", "it took longer than 3 s")
    ]
    assert records_in(here / "results")["slow"].status == "timeout"


@pytest.mark.timeout(600)
def test_a_terminal_shows_bars(suite: Path, here: Path, monkeypatch) -> None:
    """On a real terminal: colours, a bar for each cell, and the table at the end."""
    monkeypatch.setenv("PLANTED_SECONDS", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    shown = b""
    try:
        with running(
            "run", "-a", "slow", "--suite", suite, cwd=here, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            end = time.monotonic() + 240
            while time.monotonic() < end:
                if select.select([ours], [], [], 0.2)[0]:
                    try:
                        shown += os.read(ours, 65536)
                    except OSError:  # the other side is closed
                        break
            assert process.wait(timeout=30) == 0
    finally:
        os.close(ours)
    text = shown.decode()
    assert ESCAPE in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "all cells" in plain
    assert (
        "slow on blobs-3w1s, seed 0: meta-test" in plain
        or "slow on blobs-3w1s, seed 0: loading" in plain
    )
    assert "slow on blobs-3w1s, seed 0: accuracy" in plain
    assert "blobs-3w1s@1, inductive: accuracy on 30 episodes" in plain
