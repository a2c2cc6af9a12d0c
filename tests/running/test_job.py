"""Jobs as text: what a worker process receives."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from metabench.config import CellSettings
from metabench.running.cell import Cell
from metabench.running.job import Job
from metabench.running.run_cell import Conditions
from tests.helpers.cells import blobs, cell


@pytest.fixture
def job() -> Job:
    benchmark = blobs(metrics=("accuracy", "noise"), metric_options={"noise": {"levels": (1, 0.5)}})
    overrides = {"lr": 1e-05, "steps": 3, "flag": True, "text": "0.10", "rate": 2.0}
    what = Cell("größe", benchmark, 7, overrides, ("cost",))
    conditions = Conditions(
        device="cuda:1", threads=4, precision="bf16", data=Path("däta"), checkpoint=Path("c.pt")
    )
    return Job(what, "a" * 64, conditions)


def test_a_job_is_the_same_after_a_line_and_after_a_pickle(job: Job) -> None:
    for other in (Job.from_line(job.line()), pickle.loads(pickle.dumps(job))):
        assert other == job
        assert list(map(type, other.cell.overrides.values())) == [float, int, bool, str, float]


def test_the_line_is_one_line_of_ascii_json_with_every_setting(job: Job) -> None:
    line = job.line()
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["conditions"].keys() == {*vars(CellSettings()), "checkpoint"}


def test_the_defaults_are_the_same_after_a_line() -> None:
    job = Job(cell("maml"), "a" * 64, Conditions())
    assert Job.from_line(job.line()) == job
    assert replace(job, key="b" * 64) != job
