"""The plan: which cells run, which do not, and why."""

from pathlib import Path
from typing import Any

import pytest

from metabench.algorithms.base import Algorithm
from metabench.benchmarks.model import Suite
from metabench.config import Selection
from metabench.errors import ConfigError, NothingSelected, ProtocolError, UnknownName, UsageError
from metabench.records.schema import Record
from metabench.registry import Spec
from metabench.running.plan import Planned, plan
from tests.helpers.cells import BLOBS, blobs, cell, run_here, suite_file, waves


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


class TestSelection:
    def test_each_benchmark_algorithm_and_seed_is_one_cell(self, planted, tmp_path: Path) -> None:
        suite = suite_file(tmp_path / "two.toml", BLOBS, BLOBS | {"name": "blobs-2w1s", "ways": 2})
        asked = Selection(
            algorithm=("learner", "drifter", "learn*"), suite=str(suite), seeds=(0, 1, 0)
        )
        cells = [p.cell for p in plan(planted.registry, asked, [])]
        assert len(cells) == len({c.title for c in cells}) == 2 * 2 * 2

    def test_globs_select_benchmarks(self, planted, tmp_path: Path) -> None:
        suite = suite_file(tmp_path / "two.toml", BLOBS, BLOBS | {"name": "blobs-2w1s", "ways": 2})
        asked = Selection(algorithm=("learner",), benchmark=("*-2w*",), suite=str(suite))
        assert [p.cell.benchmark.name for p in plan(planted.registry, asked, [])] == ["blobs-2w1s"]

    def test_an_empty_list_of_seeds_is_an_error(self, planted, suite: str) -> None:
        with pytest.raises(NothingSelected):
            plan(planted.registry, Selection(algorithm=("learner",), suite=suite, seeds=()), [])

    def test_hyperparameters_of_an_unselected_algorithm_are_an_error(
        self, planted, suite: str
    ) -> None:
        with pytest.raises(UsageError, match="'drifter', which is not selected"):
            plan_one(planted, suite, [], set={"drifter": {"x": 1}})
        with pytest.raises(UnknownName, match="Did you mean 'drifter'"):
            plan_one(planted, suite, [], set={"drfter": {"x": 1}})

    @pytest.mark.parametrize(
        ("change", "error", "says"),
        [
            (
                {"metrics": ("acuracy",)},
                UnknownName,
                "unknown metric 'acuracy'. Did you mean 'accuracy'?",
            ),
            ({"dataset": "blob"}, UnknownName, "unknown dataset 'blob'. Did you mean 'blobs'?"),
            ({"backbone": "mpl"}, UnknownName, "unknown backbone 'mpl'. Did you mean 'mlp'?"),
            ({"metrics": ("cost", "accuracy")}, ConfigError, "cannot be ranked by 'cost'"),
            (
                {"dataset_options": {"leek": True}},
                ConfigError,
                "data set 'blobs' has no option 'leek'",
            ),
            (
                {"ways": 9},
                ProtocolError,
                "9-way episodes cannot be drawn from the 6 classes of the validation split",
            ),
            ({"shots": 8}, ProtocolError, "8 shots and 3 queries need 11 examples of a class"),
            (
                {"ways": 0},
                ProtocolError,
                "holds labelled classes, and a protocol with 0 ways is for regression",
            ),
            (
                {"dataset": "sinusoid"},
                ProtocolError,
                "is a regression family, and 3-way episodes are for classes",
            ),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_an_invalid_benchmark_is_an_error_before_anything_runs(
        self, planted, tmp_path, change, error, says
    ) -> None:
        suite = suite_file(tmp_path / "bad.toml", BLOBS | change)
        with pytest.raises(error) as caught:
            plan(planted.registry, Selection(algorithm=("learner",), suite=str(suite)), [])
        assert says in str(caught.value)


class TestBroken:
    def test_an_algorithm_whose_recipe_raises_is_a_row_with_the_reason(
        self, planted, suite: str
    ) -> None:
        class Explosive(Algorithm):
            name = "explosive"

            def __init__(self, problem: Any, *, rate: float = 0.1) -> None: ...

            @classmethod
            def recipe(cls, problem: Any) -> Any:
                raise RuntimeError("planted")

            def adapt(self, support: Any) -> Any: ...

        planted.registry.add("algorithm", Spec("explosive", Explosive))
        planned = plan(
            planted.registry, Selection(algorithm=("explosive", "learner"), suite=suite), []
        )
        assert [bool(p.broken) for p in planned] == [True, False]
        assert "RuntimeError: planted" in planned[0].broken

    def test_the_algorithms_of_a_broken_plugin_are_rows_with_the_reason(
        self, planted, suite: str
    ) -> None:
        planned = plan(
            planted.registry,
            Selection(algorithm=("learner",), suite=suite),
            [],
            broken={"gone": "no such module"},
        )
        assert [(p.cell.algorithm, p.broken) for p in planned] == [
            ("learner", ""),
            ("gone", "no such module"),
        ]


def test_each_data_set_is_announced_before_it_is_read(planted, tmp_path: Path) -> None:
    suite = suite_file(tmp_path / "two.toml", blobs().model_dump(), waves().model_dump())
    opened: list[str] = []
    plan(
        planted.registry,
        Selection(algorithm=("maml",), suite=str(suite)),
        [],
        on_open=opened.append,
    )
    assert opened == ["blobs", "sinusoid"]


def test_two_benchmarks_of_one_name_are_an_error(planted, tmp_path: Path) -> None:
    suite = suite_file(tmp_path / "twice.toml", BLOBS, BLOBS | {"shots": 2})
    with pytest.raises(ConfigError, match="differently"):
        plan(planted.registry, Selection(algorithm=("learner",), suite=str(suite)), [])
    assert Suite(name="x", benchmark=(blobs(), blobs())).benchmark
