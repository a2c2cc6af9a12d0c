"""The plan's metrics: which are measured, and which stored records have them."""

from pathlib import Path
from typing import Any

import pytest

from metabench.config import Selection
from metabench.errors import ConfigError, ResultsError, UnknownName
from metabench.leaderboard.build import build
from metabench.metrics.shift import Shift
from metabench.records.schema import Record
from metabench.running.plan import Planned, plan
from tests.helpers.cells import BLOBS, blobs, cell, make_record, run_here, suite_file

SHIFT = {"shift": {"episodes": 3}}


def plan_with(
    planted, where: Path, stored: list[Record], *, metrics=(), fresh=False, **change: Any
) -> Planned:
    suite = suite_file(where / "tiny.toml", BLOBS | change)
    asked = Selection(algorithm=("nearest-mean",), suite=str(suite), metrics=metrics)
    (planned,) = plan(planted.registry, asked, stored, fresh=fresh)
    return planned


class TestChoice:
    def test_by_default_the_metrics_of_the_benchmark_are_measured(
        self, planted, tmp_path: Path
    ) -> None:
        suite = suite_file(tmp_path / "two.toml", BLOBS | {"metrics": ("accuracy", "shift")})
        (planned,) = plan(
            planted.registry, Selection(algorithm=("nearest-mean",), suite=str(suite)), []
        )
        assert planned.cell.measured == ("accuracy", "shift")

    def test_selected_metrics_replace_them_and_the_ranking_metric_stays(
        self, planted, tmp_path: Path
    ) -> None:
        for chosen in (("shift", "cost"), ("cost", "shift", "accuracy")):
            planned = plan_with(planted, tmp_path, [], metrics=chosen)
            assert planned.cell.measured == (
                "accuracy",
                "cost",
                "shift",
            )  # the cost before what takes memory

    def test_globs_select_metrics(self, planted, tmp_path: Path) -> None:
        planned = plan_with(planted, tmp_path, [], metrics=("ad*",))
        assert planned.cell.measured == ("accuracy", "adaptation", "adversarial")

    def test_an_unknown_name_is_an_error(self, planted, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match=r"unknown metric 'adversary'.*'adversarial'"):
            plan_with(planted, tmp_path, [], metrics=("adversary",))

    def test_selected_metrics_have_the_options_of_the_benchmark(self, planted) -> None:
        what = cell("nearest-mean", blobs(metric_options=SHIFT))
        record = run_here(planted, type(what)(what.algorithm, what.benchmark, 0, {}, ("shift",)))
        assert len(record.metrics["shift"].episodes) == 3
        assert record.benchmark == what.benchmark

    @pytest.mark.parametrize(
        ("options", "error", "says"),
        [
            (
                "{nois = {episodes = 3}}",
                UnknownName,
                "unknown metric 'nois'. Did you mean 'noise'?",
            ),
            (
                "{noise = {episode = 3}}",
                ConfigError,
                "benchmark 'blobs-3w1s': metric 'noise' has no option",
            ),
            ("{noise = {episodes = 'x'}}", ConfigError, "option noise.episodes: 'x'"),
            ("{noise = 3}", ConfigError, "metric_options.noise"),
            ("{noise = {levels = [nan]}}", ConfigError, "finite number"),
        ],
    )
    def test_invalid_options_are_an_error_before_anything_runs(
        self, planted, tmp_path: Path, options: str, error: type[Exception], says: str
    ) -> None:
        suite = suite_file(tmp_path / "bad.toml")
        suite.write_text(suite.read_text() + f"\nmetric_options = {options}\n")
        with pytest.raises(error) as caught:
            plan(planted.registry, Selection(algorithm=("learner",), suite=str(suite)), [])
        assert says in str(caught.value)

    def test_a_quick_run_measures_only_the_metric_that_ranks(self) -> None:
        quick = blobs(metrics=("accuracy", "cost", "noise"), metric_options=SHIFT).quickened()
        assert quick.metrics == ("accuracy",)
        assert quick.metric_options == SHIFT


class TestStored:
    @pytest.fixture
    def record(self, planted) -> Record:
        what = blobs(metrics=("accuracy", "shift"), metric_options=SHIFT)
        return run_here(planted, cell("nearest-mean", what))

    def test_a_record_with_further_metrics_is_stored(self, planted, tmp_path, record) -> None:
        planned = plan_with(planted, tmp_path, [record])
        assert (planned.state, planned.record) == ("stored", record)

    def test_a_record_without_a_requested_metric_is_stale(self, planted, tmp_path, record) -> None:
        planned = plan_with(
            planted, tmp_path, [record], metrics=("cost", "noise", "shift"), metric_options=SHIFT
        )
        assert (planned.state, planned.why) == ("stale", "it was not measured for cost, noise")

    def test_a_cell_that_runs_again_keeps_the_metrics_of_its_record(
        self, planted, tmp_path, record
    ) -> None:
        planned = plan_with(planted, tmp_path, [record], metrics=("noise",))
        assert planned.cell.measured == ("accuracy", "noise", "shift")
        planned = plan_with(planted, tmp_path, [record], fresh=True)
        assert planned.cell.measured == ("accuracy", "shift")

    def test_a_metric_that_is_no_longer_installed_is_not_measured_again(
        self, planted, tmp_path, record
    ) -> None:
        record.metrics["gone"] = record.metrics["shift"]
        planned = plan_with(planted, tmp_path, [record], metrics=("noise",))
        assert planned.cell.measured == ("accuracy", "noise", "shift")

    def test_other_options_of_a_requested_metric_make_it_stale(
        self, planted, tmp_path, record
    ) -> None:
        other = {"shift": {"episodes": 4}}
        planned = plan_with(planted, tmp_path, [record], metrics=("shift",), metric_options=other)
        assert planned.why == "the options of shift were {'episodes': 3} and are {'episodes': 4}"
        assert plan_with(planted, tmp_path, [record], metric_options=other).state == "stored"

    def test_a_new_version_of_a_metric_makes_it_stale(self, planted, tmp_path, record) -> None:
        record.metrics["shift"].version = "0"
        planned = plan_with(planted, tmp_path, [record], metrics=("shift",), metric_options=SHIFT)
        assert planned.why == f"shift was version 0 and is {Shift.version}"

    def test_a_metric_that_does_not_apply_is_not_measured_again(self, planted, tmp_path) -> None:
        record = run_here(planted, cell("nearest-mean", blobs(metrics=("accuracy", "mse"))))
        assert record.metrics["mse"].status == "n/a"
        assert plan_with(planted, tmp_path, [record], metrics=("mse",)).state == "stored"

    def test_a_skipped_cell_stays_stored_with_any_metrics(self, planted, tmp_path) -> None:
        record = run_here(planted, cell("trouble", how="skip"))
        suite = suite_file(tmp_path / "tiny.toml")
        asked = Selection(
            algorithm=("trouble",),
            suite=str(suite),
            metrics=("noise",),
            set={"trouble": {"how": "skip"}},
        )
        (planned,) = plan(planted.registry, asked, [record])
        assert planned.state == "stored"


class TestLeaderboard:
    def test_records_with_other_metrics_are_ranked_together(self) -> None:
        one = make_record("a", benchmark={"metrics": ("accuracy", "cost")})
        two = make_record("b", benchmark={"metrics": ("accuracy",), "metric_options": SHIFT})
        assert [row.algorithm for row in build([one, two]).rows] == ["a", "b"]

    def test_records_with_other_options_of_the_ranking_metric_are_not_ranked_together(self) -> None:
        one, two = (
            make_record("a"),
            make_record("b", benchmark={"metric_options": {"accuracy": {"x": 1}}}),
        )
        with pytest.raises(ResultsError, match="different benchmark definitions"):
            build([one, two])
