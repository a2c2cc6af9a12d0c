"""The two processes of a sealed cell: they end together, and the record says what they were."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from metabench.executors import processes
from metabench.executors.processes import ProcessExecutor
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions
from tests.executors.test_executors import alive, wait_until
from tests.helpers.cells import blobs, cell, child_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cells are sealed on Linux")

KEY = "a" * 64


def job(what: Cell, *, providers: tuple[str, ...] = ("metabench-planted",)) -> Job:
    return Job(what, KEY, Conditions(), providers)


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_the_worker_ends_when_its_scorer_is_killed(planted) -> None:
    found = list[int]()

    def kill(what: Cell, event: dict[str, Any]) -> None:
        (scorer,) = executor._workers
        found.extend(children(scorer))
        os.kill(scorer, signal.SIGKILL)

    executor = ProcessExecutor(Terms(Registry(), jobs=1, on_event=kill))
    (record,) = executor.run([job(cell("slow"))])
    assert "its process was killed" in record.reason
    worker = found[0]  # it is forked first; git, which the scorer asks for the commit, comes later
    assert wait_until(lambda: not alive(worker))


def test_the_worker_of_a_scorer_that_failed_does_not_train_on(planted, monkeypatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 300.0)  # so that the executor ends nothing
    begin = time.monotonic()
    leak = blobs(dataset_options={"copy": True})
    (record,) = ProcessExecutor(Terms(Registry(), jobs=1)).run([job(cell("slow", leak))])
    assert "the train and the test split share" in record.reason
    assert time.monotonic() - begin < 50  # the algorithm sleeps for a minute


def test_how_the_worker_ended_is_how_the_cell_ended(planted) -> None:
    (record,) = ProcessExecutor(Terms(Registry())).run([job(cell("trouble", how="kill"))])
    assert record.status == "failed"
    assert "its process was ended by signal 11 (SIGSEGV)" in record.reason


def test_a_built_in_algorithm_is_sealed_from_the_data_of_a_plugin(planted) -> None:
    cells = [job(cell("protonet", blobs(budget=48))), job(cell("learner", blobs(budget=48)))]
    sealed = {r.algorithm.name: r.sealed for r in ProcessExecutor(Terms(Registry())).run(cells)}
    assert sealed == {"protonet": True, "learner": False}


def test_the_scorer_imports_no_plugin_but_the_providers(planted) -> None:
    (record,) = ProcessExecutor(Terms(Registry())).run([job(cell("protonet"), providers=())])
    assert record.status == "failed"
    assert "unknown dataset 'blobs'" in record.reason


WITHOUT_FORK = "import metabench.executors.worker as w; w._FORKS = False; w.main()"


def test_without_a_fork_the_record_is_not_sealed(planted) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_FORK],
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        worker.stdin.write(job(cell("nearest-mean")).line() + "\n")
        worker.stdin.flush()
        record = json.loads(worker.stdout.readlines()[-1])["record"]
    assert (record["status"], record["sealed"]) == ("ok", False)
