"""The Python interface."""

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import metabench
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.config import Resources
from metabench.episodes import TaskStream
from metabench.errors import ResultsError, UnknownName, UsageError
from metabench.records.schema import Record
from metabench.running.plan import Planned
from metabench.running.trainer import Trainer
from tests.helpers.cells import BLOBS, make_record, suite_file


class PixelMean(metabench.Algorithm):
    """An algorithm that only this process knows."""

    name = "pixel-mean"

    def __init__(self, problem: Any, *, power: float = 2.0) -> None:
        super().__init__(problem)
        self.power = power

    def adapt(self, support: Any) -> Any:
        means = support.class_means(support.x.flatten(1))
        return lambda query: -(torch.cdist(query.flatten(1), means) ** self.power)


class Watching:
    """A watcher that notes its calls."""

    def __init__(self) -> None:
        self.planned: list[str] = []
        self.records: list[Record] = []
        self.phases: list[str] = []

    def started(self, planned: list[Planned]) -> None:
        self.planned = [p.state for p in planned]

    def event(self, cell: Any, event: dict[str, Any]) -> None:
        self.phases.append(event["phase"])

    def finished(self, record: Record) -> None:
        self.records.append(record)


@pytest.fixture
def options(planned_suite: str, tmp_path: Path) -> dict[str, Any]:
    return {
        "suite": planned_suite,
        "results": tmp_path / "results",
        "resources": Resources(executor="in-process"),
    }


@pytest.fixture
def planned_suite(planted, tmp_path: Path) -> str:
    return str(suite_file(tmp_path / "tiny.toml", BLOBS, BLOBS | {"name": "blobs-2w1s", "ways": 2}))


def test_names_and_classes_can_be_mixed(options: dict[str, Any]) -> None:
    results = metabench.run(["drifter", PixelMean], seeds=(0, 1), **options)
    frame = results.to_frame()
    assert len(frame) == 2 * 2 * 2
    assert set(frame["algorithm"]) == {"drifter", "pixel-mean"}
    assert (frame["status"] == "ok").all(), list(frame["reason"])
    assert frame.loc[frame["algorithm"] == "pixel-mean", "accuracy"].gt(0.5).all()
    assert not frame.duplicated(["algorithm", "benchmark", "seed"]).any()


def test_a_second_run_runs_nothing_and_returns_the_same(options: dict[str, Any]) -> None:
    first, second = Watching(), Watching()
    one = metabench.run([PixelMean], watchers=[first], **options)
    two = metabench.run([PixelMean], watchers=[second], **options)
    assert first.planned == ["new", "new"]
    assert first.phases.count("load") == 2
    assert [r.key for r in first.records] == [r.key for r in one.records]
    assert (second.planned, second.records) == ([], [])
    assert two.records == one.records


def test_fresh_runs_again(options: dict[str, Any]) -> None:
    watching = Watching()
    one = metabench.run([PixelMean], **options)
    two = metabench.run([PixelMean], fresh=True, watchers=[watching], **options)
    assert watching.planned == ["stale", "stale"]
    assert [r.metrics for r in one.records] == [r.metrics for r in two.records]


def test_a_class_with_a_new_version_runs_again(options: dict[str, Any]) -> None:
    metabench.run([PixelMean], **options)
    newer = type("Newer", (PixelMean,), {"version": "2", "__module__": PixelMean.__module__})
    watching = Watching()
    results = metabench.run([newer], watchers=[watching], **options)
    assert watching.planned == ["stale", "stale"]
    assert {r.algorithm.version for r in results.records} == {"2"}


def test_algorithms_can_be_a_name_a_class_or_any_iterable(options: dict[str, Any]) -> None:
    alone = metabench.run(PixelMean, benchmarks="blobs-2*", **options)
    assert [r.benchmark.name for r in alone.records] == ["blobs-2w1s"]
    generated = metabench.run((a for a in ("drifter", PixelMean)), **options)
    assert {r.algorithm.name for r in generated.records} == {"drifter", "pixel-mean"}
    assert {r.algorithm.name for r in metabench.run("drifter", **options).records} == {"drifter"}


def test_settings_reach_the_class_and_are_in_its_label(options: dict[str, Any]) -> None:
    results = metabench.run([PixelMean], settings={"pixel-mean": {"power": 1}}, **options)
    assert set(results.to_frame()["algorithm"]) == {"pixel-mean[power=1.0]"}


@pytest.mark.parametrize("thing", [3, object(), dict, type("NoName", (metabench.Algorithm,), {})])
def test_an_object_that_is_not_an_algorithm_is_an_error(
    options: dict[str, Any], thing: Any
) -> None:
    with pytest.raises(metabench.MetabenchError):
        metabench.run([thing], **options)


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        (3, "seeds = 3 is not a list of numbers"),
        (None, "seeds = None is not a list of numbers"),
        ("3", "seeds = '3' is not a list of numbers"),
        ([-1], "seeds.0 = -1 is not valid: it must be greater than or equal to 0"),
        ([0, 1.5], "seeds.1 = 1.5 is not valid: it must be an integer"),
        ([True], "seeds.0 = true is not valid: it must be an integer"),
    ],
)
def test_invalid_seeds_are_a_usage_error(options: dict[str, Any], seeds: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        metabench.run("drifter", seeds=seeds, **options)
    assert says in caught.value.message


def test_an_unknown_name_is_an_error_and_leaves_no_folder(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'drifter'"):
        metabench.run(["drifer"], **options)
    assert not options["results"].exists()


def test_a_time_limit_for_a_class_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="worker processes"):
        metabench.run([PixelMean], **options | {"resources": Resources(timeout=1.0)})
    assert not options["results"].exists()


def test_a_failure_is_a_row_and_does_not_stop_the_others(options: dict[str, Any]) -> None:
    frame = metabench.run(["trouble", PixelMean], **options).to_frame()
    assert sorted(frame["status"]) == ["failed", "failed", "ok", "ok"]
    assert frame.loc[frame["status"] == "failed", "reason"].eq("ValueError: planted").all()


def test_a_cell_that_fails_after_its_training_is_not_trained_again(options, monkeypatch) -> None:
    kept = options["results"] / "checkpoints"
    with monkeypatch.context() as patch:
        patch.setattr(
            BenchmarkTasks, "drawn_origins", lambda *_: 1 / 0
        )  # after training, before the test
        (failed,) = metabench.run(["learner"], benchmarks="blobs-3w1s", **options).records
    assert failed.reason == "ZeroDivisionError: division by zero"
    assert [path.name for path in kept.iterdir()] == [f"{failed.key[:32]}.pt"]

    (record,) = metabench.run(["learner"], benchmarks="blobs-3w1s", **options).records
    assert record.status == "ok"
    assert record.training == failed.training  # to the second: it is that training


def test_a_metric_that_is_requested_later_needs_no_second_training(options, monkeypatch) -> None:
    (first,) = metabench.run(
        ["learner"], benchmarks="blobs-3w1s", metrics="accuracy", **options
    ).records
    monkeypatch.setattr(TaskStream, "log", lambda *_: pytest.fail("it was trained again"))
    (record,) = metabench.run(
        ["learner"], benchmarks="blobs-3w1s", metrics="transduction", **options
    ).records
    assert record.metrics["transduction"].status == "ok"
    assert record.training == first.training
    assert record.metrics["accuracy"].episodes == first.metrics["accuracy"].episodes


def test_a_changed_benchmark_does_not_use_the_old_checkpoint(options, tmp_path) -> None:
    records = []
    for validations in (2, 3):
        suite = suite_file(tmp_path / "mine.toml", BLOBS | {"validations": validations})
        records += metabench.run(["learner"], **options | {"suite": str(suite)}).records
    first, second = records
    assert first.key == second.key
    assert [len(r.training.curve) for r in (first, second)] == [2, 3]


def test_fresh_ignores_the_checkpoint(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Trainer.__init__.__kwdefaults__, "checkpoint_seconds", -1.0)
    with monkeypatch.context() as patch:
        patch.setattr(BenchmarkTasks, "drawn_origins", lambda *_: 1 / 0)
        metabench.run(["learner"], benchmarks="blobs-3w1s", **options)
    (record,) = metabench.run(["learner"], benchmarks="blobs-3w1s", fresh=True, **options).records
    assert (record.status, record.training.sittings) == ("ok", 1)


class TestFrames:
    @pytest.fixture
    def results(self) -> metabench.Results:
        both = {"metrics": ("accuracy", "cost")}
        return metabench.Results(
            [
                make_record(
                    "a", (0.25, 0.75), cost={"adapt_ms": 2.0, "classes": [[1, 2]]}, benchmark=both
                ),
                make_record("b", (0.5, 0.5), seed=3, benchmark=both),
                make_record("c", None, benchmark=both, reason="it broke"),
            ]
        )

    def test_to_frame_has_one_row_per_cell(self, results: metabench.Results) -> None:
        frame = results.to_frame()
        assert list(frame["algorithm"]) == ["a", "b", "c"]
        assert list(frame["accuracy"].round(3).fillna(-1)) == [0.5, 0.5, -1]
        assert frame["cost.adapt_ms"].iloc[0] == 2.0
        assert not any("classes" in column for column in frame.columns)
        assert all(not isinstance(value, (list, dict)) for value in frame.to_numpy().ravel())

    def test_episodes_has_one_row_per_episode(self, results: metabench.Results) -> None:
        frame = results.episodes()
        assert list(frame.columns) == ["algorithm", "benchmark", "seed", "episode", "accuracy"]
        assert frame[["algorithm", "seed", "episode", "accuracy"]].to_numpy().tolist() == [
            ["a", 0, 0, 0.25],
            ["a", 0, 1, 0.75],
            ["b", 3, 0, 0.5],
            ["b", 3, 1, 0.5],
        ]
        assert frame.groupby("algorithm")["accuracy"].mean().to_dict() == {"a": 0.5, "b": 0.5}

    def test_a_metric_with_fewer_episodes_leaves_the_others_empty(self) -> None:
        record = make_record(scores=(0.1, 0.2, 0.3))
        record.metrics["short"] = record.metrics["accuracy"].model_copy(update={"episodes": [9.0]})
        frame = metabench.Results([record]).episodes()
        assert frame["short"].isna().tolist() == [False, True, True]

    def test_no_records_are_empty_frames(self) -> None:
        empty = metabench.Results([])
        assert empty.to_frame().empty
        assert empty.episodes().empty
        assert isinstance(empty.episodes(), pd.DataFrame)
        assert metabench.Results([make_record(scores=None)]).episodes().empty

    def test_notebooks_and_print_show_the_table(self, results: metabench.Results) -> None:
        assert "<table>" in results._repr_html_()
        assert "it broke" in str(results)

    def test_quick_results_are_marked(self) -> None:
        results = metabench.Results([make_record(benchmark={"quick": True})])
        assert "@1+quick" in str(results)


def test_results_can_be_loaded(options: dict[str, Any]) -> None:
    run = metabench.run([PixelMean], **options)
    loaded = metabench.load_results(options["results"])
    assert sorted(r.key for r in loaded.records) == sorted(r.key for r in run.records)
    with pytest.raises(ResultsError, match="there is no results folder"):
        metabench.load_results(options["results"] / "none")


class TestPublicNames:
    @pytest.mark.parametrize("name", metabench.__all__)
    def test_each_can_be_imported_and_has_a_docstring(self, name: str) -> None:
        thing = getattr(metabench, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert (thing.__doc__ or "").strip()
            assert thing.__doc__ != inspect.getdoc(
                thing.__mro__[1] if inspect.isclass(thing) else None
            )

    @pytest.mark.parametrize("name", [n for n in metabench.__all__ if n[0].isupper()])
    def test_the_public_methods_of_each_have_a_docstring(self, name: str) -> None:
        thing = getattr(metabench, name)
        if not inspect.isclass(thing):
            return
        for method, value in vars(thing).items():
            if inspect.isfunction(value) and not method.startswith("_"):
                assert value.__doc__, f"{name}.{method}"

    def test_dir_shows_them_and_no_other_name_exists(self) -> None:
        assert dir(metabench) == sorted(metabench.__all__)
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            metabench.nothing  # noqa: B018

    def test_a_star_import_imports_them(self) -> None:
        names: dict[str, Any] = {}
        exec("from metabench import *", names)
        assert set(metabench.__all__) <= names.keys()
