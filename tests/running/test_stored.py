"""Stored records: which belong to a cell, and which are stale."""

from pathlib import Path
from typing import Any

import pytest

from metabench.algorithms.base import Algorithm
from metabench.config import Selection
from metabench.records.schema import Record
from metabench.running.plan import Planned, plan
from tests.helpers.cells import BLOBS, cell, run_here, suite_file


@pytest.fixture
def suite(tmp_path: Path) -> str:
    return str(suite_file(tmp_path / "tiny.toml"))


@pytest.fixture
def learner(planted) -> type[Algorithm]:
    return planted.registry.get("algorithm", "learner").load()


def plan_one(planted, suite: str, stored: list[Record], **changes: Any) -> Planned:
    fresh = changes.pop("fresh", False)
    asked: dict[str, Any] = {"algorithm": ("learner",), "suite": suite} | changes
    (planned,) = plan(planted.registry, Selection(**asked), stored, fresh=fresh)
    return planned


class TestState:
    def test_a_cell_without_a_record_is_new(self, planted, suite: str) -> None:
        planned = plan_one(planted, suite, [])
        assert (planned.state, planned.why) == ("new", "there is no record of it")

    def test_a_cell_with_its_record_is_stored(self, planted, suite: str) -> None:
        record = run_here(planted, cell("learner"))
        planned = plan_one(planted, suite, [record])
        assert (planned.state, planned.why, planned.record) == (
            "stored",
            "its record is there",
            record,
        )

    def test_a_skipped_cell_is_stored(self, planted, suite: str) -> None:
        record = run_here(planted, cell("trouble", how="skip"))
        settings = {"trouble": {"how": "skip"}}
        planned = plan_one(planted, suite, [record], algorithm=("trouble",), set=settings)
        assert planned.state == "stored"

    @pytest.mark.parametrize(("how", "status"), [("raise", "failed"), ("memory", "out-of-memory")])
    def test_a_failed_cell_is_new(self, planted, suite: str, how: str, status: str) -> None:
        record = run_here(planted, cell("trouble", how=how))
        settings = {"trouble": {"how": how}}
        planned = plan_one(planted, suite, [record], algorithm=("trouble",), set=settings)
        assert (planned.state, planned.why) == ("new", f"the last attempt ended as {status}")

    def test_a_failure_does_not_replace_a_record_that_is_ok(self, planted, suite: str) -> None:
        record = run_here(planted, cell("learner"))
        failed = record.model_copy(update={"status": "failed", "finished": "9999"})
        for stored in ([record, failed], [failed, record]):
            assert plan_one(planted, suite, stored).record == record

    def test_fresh_ignores_records_and_checkpoints(self, planted, suite: str) -> None:
        record = run_here(planted, cell("learner"))
        planned = plan_one(planted, suite, [record], fresh=True)
        assert (planned.state, planned.why) == ("stale", "requested again with --fresh")
        assert planned.fresh
        assert planned.record is None
        assert plan_one(planted, suite, [], fresh=True).fresh


class TestStale:
    @pytest.fixture
    def record(self, planted) -> Record:
        return run_here(planted, cell("learner"))

    def test_a_changed_default_makes_it_stale(
        self, planted, suite: str, record: Record, learner, monkeypatch
    ) -> None:
        monkeypatch.setitem(learner.__init__.__kwdefaults__, "lr", 0.25)
        planned = plan_one(planted, suite, [record])
        assert (planned.state, planned.why) == ("stale", "lr was 0.01 and is 0.25")

    def test_a_new_version_of_the_algorithm_makes_it_stale(
        self, planted, suite, record: Record, learner, monkeypatch
    ) -> None:
        monkeypatch.setattr(learner, "version", "2")
        planned = plan_one(planted, suite, [record])
        assert (planned.state, planned.why) == ("stale", "the algorithm was version 1 and is 2")

    def test_a_new_version_of_the_benchmark_makes_it_stale(
        self, planted, tmp_path: Path, record: Record
    ) -> None:
        suite = suite_file(tmp_path / "newer.toml", BLOBS | {"version": "2"})
        planned = plan_one(planted, str(suite), [record])
        assert (planned.state, planned.why) == ("stale", "the benchmark was version 1 and is 2")

    def test_changed_data_make_it_stale(
        self, planted, suite: str, record: Record, monkeypatch
    ) -> None:
        monkeypatch.setattr(planted.registry.get("dataset", "blobs").load(), "salt", 1)
        planned = plan_one(planted, suite, [record])
        assert (planned.state, planned.why) == ("stale", "the data set has changed")

    def test_another_distribution_makes_it_stale(self, planted, suite: str, record: Record) -> None:
        made_by_other = record.model_copy(deep=True)
        made_by_other.key = "b" * 64
        made_by_other.algorithm.distribution = "other"
        planned = plan_one(planted, suite, [made_by_other])
        assert planned.state == "stale"
        assert planned.why == "the distribution was 'other' and is 'metabench-planted'"

    def test_a_changed_benchmark_without_a_new_version_makes_it_stale(
        self, planted, tmp_path, record: Record
    ) -> None:
        suite = suite_file(tmp_path / "edited.toml", BLOBS | {"test_episodes": 40})
        planned = plan_one(planted, str(suite), [record])
        assert planned.state == "stale"
        assert planned.why.endswith("without a new version (1): test_episodes was 30 and is 40")


class TestNotStale:
    """A record of another cell does not make a cell stale."""

    def test_another_seed_hyperparameter_or_size_is_new(self, planted, suite: str) -> None:
        record = run_here(planted, cell("learner"))
        for changes in ({"seeds": (1,)}, {"set": {"learner": {"lr": 0.5}}}, {"quick": True}):
            assert plan_one(planted, suite, [record], **changes).why == "there is no record of it"

    def test_an_equal_hyperparameter_in_another_notation_is_stored(
        self, planted, suite: str
    ) -> None:
        record = run_here(planted, cell("learner", lr=0.5))
        assert plan_one(planted, suite, [record], set={"learner": {"lr": "0.50"}}).state == "stored"
