"""While something is timed, every other cell waits; whatever happens, nobody waits for ever."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metabench.runtime.exclusive import Room
from tests.helpers.cells import blobs, cell, run_here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


class Worker:
    """A thread that steps without a pause, in a room of its own as another process would be."""

    def __init__(self, folder: Path) -> None:
        self.room = Room(folder)
        self.steps = 0
        self.waited = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        with self.room.working():
            while not self._stop.is_set():
                time.sleep(0.002)
                self.steps += 1
                self.waited += self.room.give_way()

    def __enter__(self) -> "Worker":
        self._thread.start()
        until(lambda: self.steps > 2)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()


def until(so: Callable[[], bool], seconds: float = 30.0) -> None:
    began = time.monotonic()
    while not so():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)


def test_with_nobody_there_it_is_alone_at_once(folder: Path) -> None:
    with Room(folder).alone() as alone:
        assert alone


def test_whoever_works_waits_at_the_next_step_and_goes_on_afterwards(folder: Path) -> None:
    with Worker(folder) as one, Worker(folder) as two:
        with Room(folder).alone() as alone:
            assert alone
            before = one.steps, two.steps
            time.sleep(0.1)
            assert (one.steps, two.steps) == before
        until(lambda: one.steps > before[0] and two.steps > before[1])
        until(lambda: min(one.waited, two.waited) > 0.05)


def test_a_worker_can_time_something_itself(folder: Path) -> None:
    room = Room(folder)
    with Worker(folder) as other, room.working():
        with room.alone() as alone, room.alone() as nested:
            assert alone
            assert nested
            before = other.steps
            assert room.give_way() == 0.0  # it does not wait for itself
            time.sleep(0.05)
            assert other.steps == before
        assert room.give_way() == 0.0


def test_two_never_time_at_once(folder: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def time_things() -> None:
        room = Room(folder)
        with room.working():
            for _ in range(5):
                with room.alone() as alone:
                    assert alone
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.005)
                    inside.pop()
                room.give_way()

    threads = [threading.Thread(target=time_things) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 15


def test_one_that_does_not_come_to_a_step_is_not_waited_for_for_ever(folder: Path) -> None:
    stuck, room = Room(folder), Room(folder)
    with stuck.working(), room.alone(patience=0.05) as alone, room.alone() as nested:
        assert not alone
        assert not nested
    with Room(folder).alone() as alone:
        assert alone


DIES = """
import sys, time
from pathlib import Path
from metabench.runtime.exclusive import Room
room = Room(Path(sys.argv[1]))
with room.alone() if sys.argv[2] == "timing" else room.working():
    print("here", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("what", ["working", "timing"])
def test_one_that_is_killed_leaves_nothing_locked(folder: Path, what: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, str(folder), what], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    with Room(folder).alone(patience=0.02) as alone:
        assert not alone
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with Room(folder).alone() as alone:
        assert alone


def test_without_a_place_for_the_locks_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    room = Room(tmp_path / "file")
    with room.working():
        assert room.give_way() == 0.0
        with room.alone() as alone:
            assert not alone


FORKS = """
import os, sys
from pathlib import Path
from metabench.runtime.exclusive import Room
room = Room(Path(sys.argv[1]))
with room.working():
    if os.fork() == 0:
        with room.working():
            pass
        os._exit(0)
    os.wait()
    with Room(Path(sys.argv[1])).alone(patience=0.02) as alone:
        sys.exit(alone)
"""


def test_a_forked_child_has_locks_of_its_own_and_gives_back_none_of_its_parents(
    folder: Path,
) -> None:
    assert subprocess.run([sys.executable, "-c", FORKS, str(folder)], check=False).returncode == 0


@pytest.fixture
def own_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room(folder)
    monkeypatch.setattr("metabench.runtime.timing.alone", room.alone)
    monkeypatch.setattr("metabench.running.run_cell.working", room.working)
    monkeypatch.setattr("metabench.running.trainer.give_way", room.give_way)
    monkeypatch.setattr("metabench.metrics.trial.give_way", room.give_way)
    return room


def test_a_cell_says_whether_it_was_timed_alone(planted, own_room: Room, folder: Path) -> None:
    what = cell("learner", blobs(metrics=("accuracy", "cost")))
    assert run_here(planted, what).metrics["cost"].values["timed_alone"] is True
    with Worker(folder):
        assert run_here(planted, what).metrics["cost"].values["timed_alone"] is True


def test_waiting_is_no_time_in_training(planted, own_room: Room, monkeypatch) -> None:
    monkeypatch.setattr("metabench.running.trainer.give_way", lambda: 1000.0)
    record = run_here(planted, cell("learner"))
    assert record.training.seconds < 0


def test_the_scores_are_the_same_whoever_waits(planted, own_room: Room, folder: Path) -> None:
    quiet = run_here(planted, cell("learner"))
    with Worker(folder):
        assert run_here(planted, cell("learner")).metrics == quiet.metrics
