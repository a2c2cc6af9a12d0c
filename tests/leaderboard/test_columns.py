"""The columns of a leaderboard beyond the score."""

import csv
import io
import json
from typing import Any

import pytest

from metabench.errors import UnknownName
from metabench.leaderboard.build import build
from metabench.leaderboard.columns import COLUMNS, KEYS, choose
from metabench.records.schema import CurvePoint, MetricResult, Record, Training
from tests.helpers.cells import make_record
from tests.helpers.formats import FORMATS

VALUES: dict[str, dict[str, Any]] = {
    "adaptation": {"area": 0.75, "steps_to_95": 3, "threshold": 0.8},
    "noise": {
        "label_noise": {"0.4": {"drop": 0.3}},
        "corruptions": {"query": {"mean_drop": 0.1}},
        "mean_drop": 0.1,
    },
    "adversarial": {
        "attacks": {"pgd-linf-0.1": {"score": 0.25}},
        "poisoning": {"n/a": "no support."},
        "reliability": {"doubts": ["one", "two"], "zero_gradients": 0.5, "deterministic": False},
    },
    "shift": {"query": {"mean_drop": 0.4}},
    "transduction": {"transductive": False},
}


def record(
    algorithm: str = "maml",
    values: dict[str, dict[str, Any]] = VALUES,
    options: Any = None,
    **more: Any,
) -> Record:
    more.setdefault("scores", (0.74, 0.75, 0.76))  # above chance
    made = make_record(algorithm, benchmark={"metric_options": options or {}}, **more)
    for name, found in values.items():
        made.metrics[name] = MetricResult(
            version="1", direction="higher", unit="", mean=0.5, values=found
        )
    return made


def columns_of(*records: Record, algorithm: str = "maml") -> dict[str, Any]:
    (row,) = [r for r in build(records).rows if r.algorithm == algorithm]
    return row.flat()


def test_each_value_is_under_its_key() -> None:
    row = columns_of(record())
    assert row["adaptation_area"] == 0.75
    assert row["label_noise_drop"] == 0.3
    assert row["corruption_drop"] == 0.1
    assert row["pgd_0.1"] == 0.25
    assert row["doubts"] == 2
    assert (row["zero_gradients"], row["deterministic"]) == (0.5, 0.0)
    assert row["black_box"] is None
    assert row["shift_drop"] == 0.4
    assert row["transductive"] is False
    assert row["transduction_gain"] == 0.5


def test_an_inapplicable_value_is_missing_with_its_reason() -> None:
    row = columns_of(record())
    assert row["poisoning_drop"] is None
    assert row["why"]["poisoning_drop"] == "n/a: no support."
    failed = record()
    failed.metrics["shift"] = MetricResult(
        version="1", direction="lower", unit="", status="failed", reason="planted\nat length"
    )
    row = columns_of(failed)
    assert (row["shift_drop"], row["why"]["shift_drop"]) == (None, "failed: planted")


def test_an_unmeasured_value_is_missing_without_a_reason() -> None:
    row = columns_of(record(values={}))
    assert {row[key] for key in KEYS if key not in ("parameters",)} == {None}
    assert row["why"] == {}


def test_a_column_is_the_median_over_the_seeds() -> None:
    records = [
        record(values={"shift": {"query": {"mean_drop": drop}}}, seed=seed)
        for seed, drop in enumerate((0.1, 0.2, 0.9))
    ]
    assert columns_of(*records)["shift_drop"] == 0.2


def test_one_transductive_seed_makes_the_row_transductive() -> None:
    records = [
        record(values={"transduction": {"transductive": found}}, seed=seed)
        for seed, found in enumerate((False, True, False))
    ]
    assert columns_of(*records)["transductive"] is True


class TestRelativeColumns:
    def drops(self, own: float, baseline: float | None) -> dict[str, Any]:
        def noise(drop: float) -> dict[str, Any]:
            return {"noise": {"corruptions": {"query": {"mean_drop": drop}}}}

        others = [] if baseline is None else [record("nearest-mean", noise(baseline))]
        return columns_of(record(values=noise(own)), *others)

    def test_a_relative_drop_is_divided_by_the_drop_of_the_baseline(self) -> None:
        row = self.drops(0.3, 0.2)
        assert row["corruption_relative"] == pytest.approx(1.5)
        assert row["corruption_drop"] == 0.3
        assert row["label_noise_relative"] is None
        assert "label_noise_relative" not in row["why"]

    @pytest.mark.parametrize(
        ("baseline", "why"), [(None, "no nearest-mean"), (0.004, "too little")]
    )
    def test_without_a_drop_of_the_baseline_the_relative_drop_is_missing(
        self, baseline: float | None, why: str
    ) -> None:
        row = self.drops(0.3, baseline)
        assert row["corruption_relative"] is None
        assert why in row["why"]["corruption_relative"]


def test_values_measured_with_other_options_are_missing() -> None:
    old = record("a", options={"shift": {"episodes": 3}})
    new = record("b", options={"shift": {"episodes": 9}}, finished="2026-02-01T00:00:00+00:00")
    assert columns_of(old, new, algorithm="b")["shift_drop"] == 0.4
    row = columns_of(old, new, algorithm="a")
    assert row["shift_drop"] is None
    assert "other options" in row["why"]["shift_drop"]
    assert row["pgd_0.1"] == 0.25


def test_values_measured_by_another_version_are_missing() -> None:
    old, new = record("a"), record("b", finished="2026-02-01T00:00:00+00:00")
    new.metrics["shift"] = new.metrics["shift"].model_copy(update={"version": "2"})
    row = columns_of(old, new, algorithm="a")
    assert row["shift_drop"] is None
    assert "another version" in row["why"]["shift_drop"]
    assert row["pgd_0.1"] == 0.25


def test_a_record_without_the_metric_is_not_its_reference() -> None:
    old = record("a", options={"shift": {"episodes": 3}})
    later = {"options": {"shift": {"episodes": 9}}, "finished": "2026-02-01T00:00:00+00:00"}
    assert columns_of(old, record("b", {}, **later), algorithm="a")["shift_drop"] == 0.4
    inapplicable = record("b", **later)
    inapplicable.metrics["shift"] = inapplicable.metrics["shift"].model_copy(
        update={"status": "n/a", "reason": "no images."}
    )
    assert columns_of(old, inapplicable, algorithm="a")["shift_drop"] == 0.4
    assert columns_of(old, inapplicable, algorithm="b")["why"]["shift_drop"] == "n/a: no images."


class TestTraining:
    def row(self, values: dict[str, dict[str, Any]]) -> dict[str, Any]:
        curve = [
            CurvePoint(examples=100 * i, steps=i, seconds=2.0 * i, loss=None, score=score)
            for i, score in enumerate((0.5, 0.85, 0.95))
        ]
        trained = Training(examples=200, steps=2, tasks=40, seconds=8.0, joules=640.0, curve=curve)
        return columns_of(record(values=values, training=trained))

    def test_seconds_to_threshold_is_read_from_the_learning_curve(self) -> None:
        assert self.row({})["seconds_to_threshold"] == 4.0
        assert (
            self.row(VALUES)["seconds_to_threshold"] == 2.0
        )  # the threshold of the benchmark's adaptation
        assert self.row({"adaptation": {"threshold": 0.99}})["seconds_to_threshold"] is None

    def test_the_speed_of_training(self) -> None:
        row = self.row({})
        assert (row["examples_per_second"], row["tasks_per_second"], row["train_joules"]) == (
            25.0,
            5.0,
            640.0,
        )

    def test_the_examples_of_meta_validation_are_shown_beside_those_of_training(self) -> None:
        trained = Training(examples=200, steps=2, seconds=8.0, validation_examples=7_200)
        board = build([record(training=trained)])
        (row,) = json.loads(board.render("json"))
        assert (row["train_examples"], row["validation_examples"]) == (200, 7_200)
        assert "| 7,200 |" in " ".join(board.render("markdown").split())
        old = columns_of(record(training=Training(examples=200, steps=2, seconds=8.0)))
        assert old["validation_examples"] is None

    def test_the_seconds_of_a_whole_cell_are_unknown_after_a_resume(self) -> None:
        times = {"started": "2026-11-30T10:00:00Z", "finished": "2026-11-30T10:01:30Z"}
        once, resumed = (
            record(training=Training(seconds=8.0, sittings=n)).model_copy(update=times)
            for n in (1, 2)
        )
        assert columns_of(once)["cell_seconds"] == 90.0
        assert columns_of(resumed)["cell_seconds"] is None
        for started in ("", "at noon", "2026-11-30T10:00:00"):
            odd = once.model_copy(update={"started": started})
            assert columns_of(odd)["cell_seconds"] is None

    def test_records_without_a_task_count_have_no_tasks_per_second(self) -> None:
        row = columns_of(record(training=Training(examples=200, steps=2, seconds=8.0)))
        assert row["examples_per_second"] == 25.0
        assert row["tasks_per_second"] is row["train_joules"] is None


class TestTables:
    def test_a_terminal_shows_a_few_columns_below_the_ranking(self) -> None:
        ranking, extra = build([record()]).render("table").split("\n\n")
        assert "area" not in ranking
        assert "PGD 0.1" in extra
        assert "steps to 95 %" not in extra
        assert "n/a" in extra
        assert max(map(len, extra.splitlines())) <= 110

    def test_other_formats_show_every_column_that_was_measured(self) -> None:
        text = build([record()]).render("markdown")
        assert "steps to 95 %" in text
        assert "PGD 0.3" not in text

    def test_the_columns_can_be_chosen(self) -> None:
        text = build([record()]).render("table", ["steps_to_95"])
        assert "steps to 95 %" in text
        assert "PGD 0.1" not in text
        assert "steps to 95 %" in build([record()]).render("table", ["all"])

    def test_an_unknown_column_is_an_error(self) -> None:
        with pytest.raises(UnknownName, match="unknown column 'pgd'"):
            choose(["pgd"])

    def test_json_and_csv_have_every_column(self) -> None:
        board = build([record()])
        assert json.loads(board.render("json"))[0].keys() >= set(KEYS)
        (line,) = csv.DictReader(io.StringIO(board.render("csv")))
        assert float(line["pgd_0.1"]) == 0.25
        assert "why" not in line

    def test_without_extra_values_there_is_one_table(self) -> None:
        for form in FORMATS:
            assert "area" not in build([make_record()]).render(form) or form in ("json", "csv")


def test_keys_and_titles_are_unique() -> None:
    assert len(set(KEYS)) == len(KEYS)
    assert len({column.title for column in COLUMNS}) == len(COLUMNS)
