"""Which metrics are measured, and which stored record tells what is asked for."""

from pathlib import Path
from typing import Any

import pytest

from metabench.errors import ConfigError, ResultsError, UnknownName
from metabench.leaderboard.build import build
from metabench.metrics.shift import Shift
from metabench.records.schema import Record
from metabench.running.plan import Planned, Selection, plan
from tests.helpers.cells import BLOBS, blobs, cell, made_record, run_here, suite_file

SHIFT = {"shift": {"episodes": 3}}


def plan_with(
    planted, where: Path, stored: list[Record], *, metrics=(), fresh=False, **change: Any
) -> Planned:
    suite = suite_file(where / "tiny.toml", BLOBS | change)
    asked = Selection(("nearest-mean",), suite=str(suite), metrics=metrics, fresh=fresh)
    (planned,) = plan(planted.registry, asked, stored)
    return planned


class TestChoice:
    def test_by_default_it_is_what_the_benchmark_names(self, planted, tmp_path: Path) -> None:
        suite = suite_file(tmp_path / "two.toml", BLOBS | {"metrics": ("accuracy", "shift")})
        (planned,) = plan(planted.registry, Selection(("nearest-mean",), suite=str(suite)), [])
        assert planned.cell.measured == ("accuracy", "shift")

    def test_what_is_chosen_takes_its_place_and_the_ranking_metric_is_always_there(
        self, planted, tmp_path: Path
    ) -> None:
        for chosen in (("shift", "cost"), ("cost", "shift", "accuracy")):
            planned = plan_with(planted, tmp_path, [], metrics=chosen)
            assert planned.cell.measured == (
                "accuracy",
                "cost",
                "shift",
            )  # the cost before what takes memory

    def test_globs_choose_too(self, planted, tmp_path: Path) -> None:
        planned = plan_with(planted, tmp_path, [], metrics=("ad*",))
        assert planned.cell.measured == ("accuracy", "adaptation", "adversarial")

    def test_an_unknown_name_is_an_error(self, planted, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match=r"unknown metric 'adversary'.*'adversarial'"):
            plan_with(planted, tmp_path, [], metrics=("adversary",))

    def test_the_options_of_the_benchmark_hold_for_what_is_chosen(self, planted) -> None:
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
    def test_options_that_cannot_be_are_found_before_anything_runs(
        self, planted, tmp_path: Path, options: str, error: type[Exception], says: str
    ) -> None:
        suite = suite_file(tmp_path / "bad.toml")
        suite.write_text(suite.read_text() + f"\nmetric_options = {options}\n")
        with pytest.raises(error) as caught:
            plan(planted.registry, Selection(("learner",), suite=str(suite)), [])
        assert says in str(caught.value)

    def test_a_quick_run_keeps_to_the_metric_that_ranks(self) -> None:
        quick = blobs(metrics=("accuracy", "cost", "noise"), metric_options=SHIFT).quickened()
        assert quick.metrics == ("accuracy",)
        assert quick.metric_options == SHIFT


class TestStored:
    @pytest.fixture
    def record(self, planted) -> Record:
        what = blobs(metrics=("accuracy", "shift"), metric_options=SHIFT)
        return run_here(planted, cell("nearest-mean", what))

    def test_a_record_that_tells_more_than_is_asked_for_is_current(
        self, planted, tmp_path, record
    ) -> None:
        planned = plan_with(planted, tmp_path, [record])
        assert (planned.state, planned.record) == ("stored", record)

    def test_one_that_tells_less_is_stale_and_says_what_it_lacks(
        self, planted, tmp_path, record
    ) -> None:
        planned = plan_with(
            planted, tmp_path, [record], metrics=("cost", "noise", "shift"), metric_options=SHIFT
        )
        assert (planned.state, planned.why) == ("stale", "it was not measured for cost, noise")

    def test_measured_again_it_keeps_what_it_told(self, planted, tmp_path, record) -> None:
        planned = plan_with(planted, tmp_path, [record], metrics=("noise",))
        assert planned.cell.measured == ("accuracy", "noise", "shift")
        planned = plan_with(planted, tmp_path, [record], fresh=True)
        assert planned.cell.measured == ("accuracy", "shift")

    def test_what_is_no_longer_installed_is_not_measured_again(
        self, planted, tmp_path, record
    ) -> None:
        record.metrics["gone"] = record.metrics["shift"]
        planned = plan_with(planted, tmp_path, [record], metrics=("noise",))
        assert planned.cell.measured == ("accuracy", "noise", "shift")

    def test_other_options_make_it_stale_where_their_metric_is_asked_for(
        self, planted, tmp_path, record
    ) -> None:
        other = {"shift": {"episodes": 4}}
        planned = plan_with(planted, tmp_path, [record], metrics=("shift",), metric_options=other)
        assert planned.why == "the options of shift were {'episodes': 3} and are {'episodes': 4}"
        assert plan_with(planted, tmp_path, [record], metric_options=other).state == "stored"

    def test_another_version_of_a_metric_makes_it_stale(self, planted, tmp_path, record) -> None:
        record.metrics["shift"].version = "0"
        planned = plan_with(planted, tmp_path, [record], metrics=("shift",), metric_options=SHIFT)
        assert planned.why == f"shift was version 0 and is {Shift.version}"

    def test_a_metric_that_did_not_go_well_is_told_and_not_tried_again(
        self, planted, tmp_path
    ) -> None:
        record = run_here(planted, cell("nearest-mean", blobs(metrics=("accuracy", "mse"))))
        assert record.metrics["mse"].status == "n/a"
        assert plan_with(planted, tmp_path, [record], metrics=("mse",)).state == "stored"

    def test_a_skipped_cell_stays_skipped_whatever_is_asked_for(self, planted, tmp_path) -> None:
        record = run_here(planted, cell("trouble", how="skip"))
        suite = suite_file(tmp_path / "tiny.toml")
        asked = Selection(
            ("trouble",),
            suite=str(suite),
            metrics=("noise",),
            settings={"trouble": {"how": "skip"}},
        )
        (planned,) = plan(planted.registry, asked, [record])
        assert planned.state == "stored"


class TestLeaderboard:
    def test_records_that_were_measured_from_other_sides_can_be_ranked_together(self) -> None:
        one = made_record("a", benchmark={"metrics": ("accuracy", "cost")})
        two = made_record("b", benchmark={"metrics": ("accuracy",), "metric_options": SHIFT})
        assert [row.algorithm for row in build([one, two]).rows] == ["a", "b"]

    def test_options_of_the_ranking_metric_are_part_of_what_is_ranked(self) -> None:
        one, two = (
            made_record("a"),
            made_record("b", benchmark={"metric_options": {"accuracy": {"x": 1}}}),
        )
        with pytest.raises(ResultsError, match="other definitions"):
            build([one, two])
