"""Executors: the same bits in every process, and no worker affects the run."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metabench.executors import launchers, processes
from metabench.executors.inprocess import InProcessExecutor
from metabench.executors.processes import ProcessExecutor
from metabench.records.schema import Record
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions
from tests.helpers.cells import (
    blobs,
    cell,
    child_environment,
    curve_of,
    make_record,
    scores_of,
    waves,
)

KEY = "a" * 64
PLANTED = "metabench-planted"


def jobs_of(*cells: Cell) -> list[Job]:
    return [
        Job(what, f"{number:064x}", Conditions(), (PLANTED,)) for number, what in enumerate(cells)
    ]


def executor_with(*, jobs: int = 1, forks: bool = True, **asked: Any) -> ProcessExecutor:
    return ProcessExecutor(Terms(Registry(), jobs=jobs, **asked), forks=forks)


def where(record: Record) -> dict[str, Any]:
    """The environment, without what an edit of the sources in the meantime would change."""
    return {name: fact for name, fact in record.environment.items() if not name.startswith("git_")}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 240.0) -> bool:
    """Whether a condition becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_bits_do_not_depend_on_the_process_or_the_order(planted) -> None:
    cells = [
        cell("learner"),
        cell("trouble", blobs(name="noisy"), how="noise"),  # writes on stdout, where the events are
        cell("maml", waves(budget=2_000), tasks=10),
    ]
    events: list[dict[str, Any]] = []
    executor = executor_with(jobs=2, on_event=lambda cell, event: events.append(event))
    far = {r.benchmark.name: r for r in executor.run(jobs_of(*cells))}
    near = {
        r.benchmark.name: r
        for r in InProcessExecutor(Terms(planted.registry)).run(jobs_of(*cells[::-1]))
    }
    assert far.keys() == near.keys()
    for name, record in far.items():
        assert record.status == near[name].status == "ok", record.reason + near[name].reason
        assert scores_of(record) == scores_of(near[name])
        assert curve_of(record) == curve_of(near[name])
        assert record.key == near[name].key
        assert where(record) == where(near[name])
    assert {event["phase"] for event in events} == {"load", "test"} | {
        e["phase"] for e in events
    } & {"train"}
    assert max(e["done"] for e in events if e["phase"] == "test") == 30


@pytest.mark.skipif(not launchers.ForkLauncher.available, reason="only Linux forks")
class TestForkServer:
    def test_forked_and_spawned_workers_have_the_same_bits(self, planted) -> None:
        cells = [cell("learner"), cell("maml", waves(budget=2_000), tasks=10)]
        forked = list(executor_with().run(jobs_of(*cells)))
        fresh = list(executor_with(forks=False).run(jobs_of(*cells)))
        assert [r.status for r in forked] == ["ok", "ok"], [r.reason for r in forked]
        assert list(map(scores_of, forked)) == list(map(scores_of, fresh))
        assert list(map(curve_of, forked)) == list(map(curve_of, fresh))
        assert [r.code for r in forked] == [r.code for r in fresh]
        assert all(r.code for r in forked)

    def test_if_it_dies_its_workers_go_on_and_further_ones_are_spawned(self, planted) -> None:
        killed: list[int] = []

        def kill_the_server(cell: Cell, event: dict[str, Any]) -> None:
            launcher = executor._launcher
            assert isinstance(launcher, launchers.ForkLauncher)
            if not killed:
                os.kill(launcher.pid, signal.SIGKILL)
                killed.append(launcher.pid)

        executor = executor_with(on_event=kill_the_server)
        records = list(executor.run(jobs_of(cell("learner"), cell("learner", seed=1))))
        assert len(killed) == 1
        assert [r.status for r in records] == ["ok", "ok"], [r.reason for r in records]

    def test_its_workers_lead_process_groups_and_share_no_pipes(self) -> None:
        launcher = launchers.ForkLauncher(1)
        with tempfile.TemporaryFile("w+") as stderr:
            first, second = (launcher.start(stderr, 1) for _ in range(2))
            assert [os.getpgid(worker.pid) for worker in (first, second)] == [first.pid, second.pid]
            first.stdin.close()  # which means that its parent ended
            assert first.wait(60) in (1, -signal.SIGKILL)
            assert first.stdout.read() == ""
            assert second.poll() is None
            second.stdin.close()
            second.wait(60)
            first.stdout.close(), second.stdout.close()
        launcher.close()

    def test_it_reports_how_a_worker_ended(self, planted) -> None:
        jobs = jobs_of(cell("trouble", how="kill"), cell("learner"))
        records = list(executor_with().run(jobs))
        assert [r.status for r in records] == ["failed", "ok"]
        assert "was ended by signal 11 (SIGSEGV)" in records[0].reason

    def test_it_ends_with_the_run(self, planted) -> None:
        executor = executor_with(jobs=2)
        records = executor.run(jobs_of(cell("learner"), cell("learner", seed=1)))
        next(records)
        launcher = executor._launcher
        assert isinstance(launcher, launchers.ForkLauncher)
        assert alive(launcher.pid)
        records.close()
        assert not alive(launcher.pid)


@pytest.fixture
def script_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replace the worker by a shell script."""

    def put(script: str) -> None:
        path = tmp_path / "worker.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(launchers.sys, "executable", str(path))
        monkeypatch.setattr(
            launchers.ForkLauncher, "available", False
        )  # it starts the same executable

    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    return put


def only(records: Iterator[Record]) -> Record:
    (record,) = records
    return record


def run_one(**options: Any) -> Record:
    return only(executor_with(**options).run([Job(cell("any"), KEY, Conditions())]))


class TestBrokenWorkers:
    @pytest.mark.parametrize(
        ("script", "says"),
        [
            ("exit 3", "its process exited with code 3 before it finished"),
            ("exit 0", "its process exited with code 0 before it finished"),
            ("kill -9 $$", "its process was killed, as the kernel does when memory runs out"),
            ("kill -11 $$", "its process was ended by signal 11 (SIGSEGV)"),
            ('printf \'{"phase": "lo\'; kill -9 $$', "its process was killed"),
            ("echo not json; echo [1; exit 4", "exited with code 4"),
        ],
    )
    def test_a_script_worker_exits_early_is_a_failed_cell_with_the_reason(
        self, script_worker, script: str, says: str
    ) -> None:
        script_worker(script)
        record = run_one()
        assert record.status == "failed"
        assert says in record.reason
        assert record.key == KEY
        assert record.started <= record.finished

    def test_the_end_of_its_stderr_is_in_the_record(self, script_worker) -> None:
        script_worker("yes noise | head -c 9000 >&2; echo the last words >&2; exit 1")
        record = run_one()
        assert record.traceback.endswith("the last words\n")
        assert len(record.traceback) <= 4000

    def test_a_script_worker_hangs_is_ended_with_status_timeout(
        self, script_worker, tmp_path: Path
    ) -> None:
        script_worker(f"echo $$ > {tmp_path}/pid; sleep 600")
        record = run_one(timeout=0.5)
        assert (record.status, record.reason) == ("timeout", "it took longer than 0.5 s")
        assert not alive(int((tmp_path / "pid").read_text()))

    def test_a_script_worker_ignores_sigterm_is_killed_with_its_children(
        self, script_worker, tmp_path: Path
    ) -> None:
        script_worker(
            f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 600 & echo $! > {tmp_path}/child; "
            "wait; wait"
        )
        assert run_one(timeout=0.5).status == "timeout"
        for name in ("pid", "child"):
            assert wait_until(lambda name=name: not alive(int((tmp_path / name).read_text())))

    def test_a_child_that_outlives_its_worker_does_not_block_the_run(
        self, script_worker, tmp_path: Path
    ) -> None:
        script_worker(f"sleep 600 & echo $! > {tmp_path}/child; exit 5")
        assert "exited with code 5" in run_one().reason
        assert wait_until(lambda: not alive(int((tmp_path / "child").read_text())))

    def test_a_script_worker_does_not_exit_after_its_record_is_ended(
        self, script_worker, tmp_path: Path
    ) -> None:
        (tmp_path / "event").write_text(
            '{"phase": "done", "record": ' + make_record().model_dump_json() + "}\n"
        )
        script_worker(f"cat {tmp_path}/event; echo $$ > {tmp_path}/pid; sleep 600")
        assert run_one() == make_record()
        assert not alive(int((tmp_path / "pid").read_text()))

    def test_a_worker_with_a_record_is_not_a_timeout(self, script_worker, tmp_path: Path) -> None:
        (tmp_path / "event").write_text(
            '{"phase": "done", "record": ' + make_record().model_dump_json() + "}\n"
        )
        script_worker(f"cat {tmp_path}/event; sleep 600")
        assert run_one(timeout=30.0) == make_record()

    def test_no_more_cells_run_at_a_time_than_requested(
        self, script_worker, tmp_path: Path
    ) -> None:
        script_worker(f"mkdir {tmp_path}/lock || exit 9; sleep 0.2; rmdir {tmp_path}/lock; exit 1")
        jobs = jobs_of(*(cell("any", seed=seed) for seed in range(4)))
        reasons = [record.reason for record in executor_with().run(jobs)]
        assert all("exited with code 1 " in reason for reason in reasons)


class TestInterrupt:
    def test_it_ends_the_workers_and_their_cells_are_interrupted(
        self, script_worker, tmp_path: Path
    ) -> None:
        script_worker(f'echo $$ >> {tmp_path}/pids; echo \'{{"phase": "load"}}\'; sleep 600')

        def interrupt(what: Cell, event: dict[str, Any]) -> None:
            assert wait_until(lambda: len((tmp_path / "pids").read_text().split()) == 2)
            raise KeyboardInterrupt

        records = executor_with(jobs=2, on_event=interrupt).run(jobs_of(*map(cell, "abc")))
        found = [next(records), next(records)]
        with pytest.raises(KeyboardInterrupt):
            next(records)
        assert [(r.algorithm.name, r.status) for r in found] == [
            ("a", "interrupted"),
            ("b", "interrupted"),
        ]
        assert not any(alive(int(pid)) for pid in (tmp_path / "pids").read_text().split())

    @pytest.mark.parametrize("forks", [True, False])
    def test_a_training_writes_its_checkpoint_and_the_record_says_so(
        self, planted, tmp_path: Path, forks: bool
    ) -> None:
        def interrupt(what: Cell, event: dict[str, Any]) -> None:
            if event["phase"] == "train":
                raise KeyboardInterrupt

        first, second = jobs_of(cell("learner", blobs(budget=10**8)), cell("any"))
        first = replace(first, conditions=Conditions(checkpoint=tmp_path / "c"))
        records = executor_with(forks=forks, on_event=interrupt).run([first, second])
        record = next(records)
        assert record.status == "interrupted", record.reason + record.traceback
        assert record.reason == "the run was interrupted; its checkpoint is kept"
        assert (tmp_path / "c").exists()
        with pytest.raises(KeyboardInterrupt):
            next(records)

    def test_a_cell_without_a_checkpoint_says_so(self, script_worker, tmp_path: Path) -> None:
        script_worker('echo \'{"phase": "load"}\'; sleep 600')

        def interrupt(what: Cell, event: dict[str, Any]) -> None:
            raise KeyboardInterrupt

        for checkpoint in (None, tmp_path / "missing.pt"):
            job = Job(cell("any"), KEY, Conditions(checkpoint=checkpoint))
            record = next(executor_with(on_event=interrupt).run([job]))
            assert record.reason == "the run was interrupted before its first checkpoint"

    def test_a_cell_that_had_finished_is_kept(self, script_worker, monkeypatch) -> None:
        script_worker("sleep 600")
        executor = executor_with()

        def interrupt() -> Iterator[Record]:
            (pid,) = executor._workers
            executor._events.put(
                (pid, {"phase": "done", "record": make_record().model_dump(mode="json")})
            )
            raise KeyboardInterrupt
            yield

        monkeypatch.setattr(executor, "_wait", interrupt)
        records = executor.run(jobs_of(cell("a")))
        assert next(records) == make_record()
        with pytest.raises(KeyboardInterrupt):
            next(records)

    def test_closing_a_run_ends_its_workers(self, script_worker, tmp_path: Path) -> None:
        script_worker(
            f"mkdir {tmp_path}/first && sleep 0.3 && exit 1; echo $$ > {tmp_path}/pid; sleep 600"
        )
        records = executor_with(jobs=2).run(jobs_of(cell("a"), cell("b")))
        assert next(records).status == "failed"
        assert wait_until(
            lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != ""
        )
        records.close()
        assert not alive(int((tmp_path / "pid").read_text()))


PARENT = """
import sys
from cells import cell
from metabench.running.run_cell import Conditions
from metabench.running.job import Job, Terms
from metabench.executors.processes import ProcessExecutor
from metabench.registry import Registry

terms = Terms(Registry(), jobs=1, on_event=lambda *_: print(*executor._workers, flush=True))
executor = ProcessExecutor(terms)
list(executor.run([Job(cell("slow"), "a" * 64, Conditions(), ("metabench-planted",))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_ends_when_its_parent_is_killed(planted) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], env=child_environment(), stdout=subprocess.PIPE, text=True
    ) as parent:
        worker = int(parent.stdout.readline())
        assert alive(worker)
        os.kill(parent.pid, signal.SIGKILL)
    assert wait_until(lambda: not alive(worker))
