"""Exclusive timing: other cells pause, and every wait has a time limit."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metabench.runtime.exclusive import TimingLock, timing_lock
from tests.helpers.cells import blobs, cell, run_here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


class Worker:
    """A thread that runs steps, with a lock of its own as another process would have."""

    def __init__(self, folder: Path) -> None:
        self.lock = TimingLock(folder)
        self.steps = 0
        self.waited = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        with self.lock.shared():
            while not self._stop.is_set():
                time.sleep(0.002)
                self.steps += 1
                self.waited += self.lock.yield_to_writers()

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


def test_without_other_processes_timing_is_exclusive(folder: Path) -> None:
    with TimingLock(folder).exclusive() as exclusive:
        assert exclusive


def test_other_processes_pause_between_two_steps_and_go_on_afterwards(folder: Path) -> None:
    with Worker(folder) as one, Worker(folder) as two:
        with TimingLock(folder).exclusive() as exclusive:
            assert exclusive
            before = one.steps, two.steps
            time.sleep(0.1)
            assert (one.steps, two.steps) == before
        until(lambda: one.steps > before[0] and two.steps > before[1])
        until(lambda: min(one.waited, two.waited) > 0.05)


def test_a_process_that_holds_the_lock_as_a_reader_can_time_something(folder: Path) -> None:
    lock = TimingLock(folder)
    with Worker(folder) as other, lock.shared():
        with lock.exclusive() as exclusive, lock.exclusive() as nested:
            assert exclusive
            assert nested
            before = other.steps
            assert lock.yield_to_writers() == 0.0  # it does not wait for itself
            time.sleep(0.05)
            assert other.steps == before
        assert lock.yield_to_writers() == 0.0


def test_timings_of_two_processes_never_overlap(folder: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def time_things() -> None:
        lock = TimingLock(folder)
        with lock.shared():
            for _ in range(5):
                with lock.exclusive() as exclusive:
                    assert exclusive
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.005)
                    inside.pop()
                lock.yield_to_writers()

    threads = [threading.Thread(target=time_things) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 15


def test_a_process_without_steps_is_not_waited_for_without_limit(folder: Path) -> None:
    stuck, lock = TimingLock(folder), TimingLock(folder)
    with stuck.shared(), lock.exclusive(patience=0.05) as exclusive, lock.exclusive() as nested:
        assert not exclusive
        assert not nested
    with TimingLock(folder).exclusive() as exclusive:
        assert exclusive


DIES = """
import sys, time
from pathlib import Path
from metabench.runtime.exclusive import TimingLock
lock = TimingLock(Path(sys.argv[1]))
with lock.exclusive() if sys.argv[2] == "timing" else lock.shared():
    print("here", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("what", ["working", "timing"])
def test_a_killed_process_releases_its_locks(folder: Path, what: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, str(folder), what], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    with TimingLock(folder).exclusive(patience=0.02) as exclusive:
        assert not exclusive
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with TimingLock(folder).exclusive() as exclusive:
        assert exclusive


def test_without_a_folder_for_the_lock_files_nothing_pauses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lock = TimingLock(tmp_path / "file")
    with lock.shared():
        assert lock.yield_to_writers() == 0.0
        with lock.exclusive() as exclusive:
            assert not exclusive


FORKS = """
import os, sys
from pathlib import Path
from metabench.runtime.exclusive import TimingLock
lock = TimingLock(Path(sys.argv[1]))
with lock.shared():
    if os.fork() == 0:
        with lock.shared():
            pass
        os._exit(0)
    os.wait()
    with TimingLock(Path(sys.argv[1])).exclusive(patience=0.02) as exclusive:
        sys.exit(exclusive)
"""


def test_a_forked_child_does_not_release_the_locks_of_its_parent(
    folder: Path,
) -> None:
    assert subprocess.run([sys.executable, "-c", FORKS, str(folder)], check=False).returncode == 0


@pytest.fixture
def own_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> TimingLock:
    lock = TimingLock(folder)
    for name, value in vars(lock).items():  # in place: many modules have imported it
        monkeypatch.setattr(timing_lock, name, value)
    return timing_lock


def test_a_record_says_whether_its_timing_was_exclusive(
    planted, own_lock: TimingLock, folder: Path
) -> None:
    what = cell("learner", blobs(metrics=("accuracy", "cost")))
    assert run_here(planted, what).metrics["cost"].values["timed_alone"] is True
    with Worker(folder):
        assert run_here(planted, what).metrics["cost"].values["timed_alone"] is True


def test_a_pause_is_not_time_in_training(planted, own_lock: TimingLock, monkeypatch) -> None:
    monkeypatch.setattr(own_lock, "yield_to_writers", lambda: 1000.0)
    record = run_here(planted, cell("learner"))
    assert record.training.seconds < 0


def test_pauses_do_not_change_scores(planted, own_lock: TimingLock, folder: Path) -> None:
    quiet = run_here(planted, cell("learner"))
    with Worker(folder):
        assert run_here(planted, cell("learner")).metrics == quiet.metrics
