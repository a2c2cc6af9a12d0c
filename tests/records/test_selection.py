"""Each step of a selection keeps some records and states why it leaves out the others."""

from __future__ import annotations

import random
from typing import Any

import pytest

from metabench.errors import ResultsError
from metabench.records.comparability import explain_conflict, reference_record
from metabench.records.costs import median_cost
from metabench.records.schema import Record
from metabench.records.selection import RecordSelection
from tests.helpers.cells import make_record
from tests.helpers.many_records import full_record

LATER = "2026-02-01T00:00:00+00:00"
QUICK = {"quick": True}


def select(*records: Record) -> RecordSelection:
    return RecordSelection(list(records))


def reasons(selection: RecordSelection) -> list[tuple[str, str]]:
    return [(one.record.algorithm.name, one.reason) for one in selection.left_out]


def names(selection: RecordSelection) -> list[str]:
    return [record.algorithm.name for record in selection.records]


def test_steps_add_up_what_they_leave_out() -> None:
    invalid = make_record("invalid", (0.5, 7.0))
    other = make_record("other", episode_digest="f" * 64)
    old = make_record("a", seed=0, hyperparameters={"lr": 1})
    kept = [make_record(name, finished=LATER) for name in ("a", "b")]
    selection = (
        select(invalid, other, old, *kept, make_record("q", benchmark=QUICK))
        .with_quick(False)
        .with_valid_scores()
        .latest()
        .consistent()
    )
    assert selection.records == kept
    assert reasons(selection) == [
        ("q", "quick"),
        ("invalid", "score"),
        ("a", "superseded"),
        ("other", "episodes"),
    ]
    assert selection.messages == [
        "1 record of --quick runs",
        "1 record superseded by later ones of the same algorithm",
        f"{invalid.file_name}: invalid accuracy 7 of an episode",
        f"{other.file_name}: its test episodes differ from those of most records",
    ]
    assert selection.rejected == selection.messages[2:]


class TestQuick:
    @pytest.mark.parametrize(
        ("quick", "kept", "message"),
        [
            (False, ["full"], "1 record of --quick runs"),
            (True, ["quick"], "1 record of full runs"),
            (None, ["full"], "1 record of --quick runs"),
        ],
    )
    def test_quick_and_full_runs_are_never_mixed(
        self, quick: bool | None, kept: list[str], message: str
    ) -> None:
        both = select(make_record("full"), make_record("quick", benchmark=QUICK))
        assert names(both.with_quick(quick)) == kept
        assert both.with_quick(quick).messages == [message]

    def test_none_selects_quick_runs_if_there_are_no_others(self) -> None:
        assert names(select(make_record("quick", benchmark=QUICK)).with_quick(None)) == ["quick"]
        assert names(select().with_quick(None)) == []


class TestBudget:
    def test_only_records_of_the_benchmarks_budget_are_kept(self) -> None:
        whole, low, high = (
            make_record(name, hyperparameters={"budget": budget})
            for name, budget in (("whole", 480), ("low", 100), ("high", 500))
        )
        selection = select(whole, low, high).with_budget_of_the_benchmark()
        assert names(selection) == ["whole"]
        assert selection.messages == [
            "2 records trained with another budget than that of the benchmark"
        ]
        assert selection.rejected == []  # a note: nothing is wrong with the records

    def test_records_that_state_no_budget_are_kept(self) -> None:
        assert names(select(make_record("old")).with_budget_of_the_benchmark()) == ["old"]

    def test_a_quick_record_is_held_to_the_quick_budget(self) -> None:
        quick = QUICK | {"budget": 16}
        same = make_record("same", benchmark=quick, hyperparameters={"budget": 16})
        other = make_record("other", benchmark=quick, hyperparameters={"budget": 15})
        assert names(select(same, other).with_budget_of_the_benchmark()) == ["same"]


class TestLatest:
    def test_an_ok_record_supersedes_later_failures_if_preferred(self) -> None:
        ok = make_record(seed=0)
        failed = make_record(scores=None, seed=0, finished=LATER)
        assert select(failed, ok).latest(prefer_ok=True).records == [ok]
        assert select(failed, ok).latest(prefer_ok=False).records == [failed]

    def test_an_interrupted_record_supersedes_nothing(self) -> None:
        ok = make_record(seed=0)
        interrupted = make_record(scores=None, status="interrupted", finished=LATER)
        assert select(ok, interrupted).latest(prefer_ok=False).records == [ok]

    def test_records_by_algorithm_are_sorted_by_seed(self) -> None:
        records = [make_record(seed=seed) for seed in (2, 0, 10, 1)]
        random.Random(0).shuffle(records)
        (group,) = select(*records).latest().by_algorithm().values()
        assert [record.seed for record in group] == [0, 1, 2, 10]


class TestConsistent:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"benchmark": {"budget": 7}}, "definition"),
            ({"episode_digest": "f" * 64}, "episodes"),
        ],
    )
    def test_the_minority_is_rejected(self, change: dict[str, Any], reason: str) -> None:
        records = [make_record("a"), make_record("other", **change), make_record("b")]
        assert reasons(select(*records).consistent()) == [("other", reason)]

    def test_without_a_majority_it_is_an_error_or_the_most_frequent_kind(self) -> None:
        records = select(make_record("a"), make_record("b", episode_digest="f" * 64))
        with pytest.raises(ResultsError, match=r"different test episodes: e+ and f+") as caught:
            records.consistent()
        assert "metabench data verify" in caught.value.hint
        assert names(records.consistent(require_majority=False)) == ["a"]

    def test_a_failed_record_has_no_episodes_to_disagree_about(self) -> None:
        selection = select(make_record("a"), make_record("failed", None)).consistent()
        assert names(selection) == ["a", "failed"]

    def test_the_choice_does_not_depend_on_the_order_of_the_records(self) -> None:
        pair = [make_record("a"), make_record("b", episode_digest="f" * 64)]
        kept = {
            tuple(names(select(*records).consistent(require_majority=False)))
            for records in (pair, pair[::-1])
        }
        assert kept == {("a",)}

    def test_two_versions_of_a_benchmark_are_an_error(self) -> None:
        selection = select(make_record("a"), make_record("b", benchmark={"version": "2"}))
        assert names(selection.consistent()) == ["a", "b"]
        with pytest.raises(ResultsError, match="blobs-3w1s@1 and blobs-3w1s@2"):
            selection.with_one_version()


def test_a_metric_with_unusual_options_is_removed_and_its_record_kept() -> None:
    options = {"metric_options": {"noise": {"episodes": 3}}}
    other = full_record("other", 0.9, 1.0, benchmark=options)
    usual = [full_record("maml", 0.8, 1.0), full_record("protonet", 0.9, 2.0)]
    selection = select(usual[0], other, usual[1]).with_usual_metric_options()
    assert selection.messages == [
        f"{other.file_name}: its noise was measured with other options than in most records"
    ]
    metrics = {record.algorithm.name: set(record.metrics) for record in selection.records}
    assert metrics["maml"] == metrics["protonet"] == metrics["other"] | {"noise"}
    assert "adversarial" in metrics["other"]
    assert "noise" in other.metrics, "the record itself is not changed"


class TestComparability:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({}, ""),
            ({"benchmark": QUICK}, "a full record and a --quick one"),
            ({"benchmark": {"ways": 2}}, "different benchmark definitions: ways was 3 and is 2"),
            ({"episode_digest": "f" * 64}, f"different test episodes: {'e' * 12} and {'f' * 12}"),
            (
                {"direction": "lower"},
                "different accuracy metrics: direction was higher and is lower",
            ),
        ],
    )
    def test_the_first_conflict_of_two_records_is_explained(
        self, change: dict[str, Any], says: str
    ) -> None:
        assert explain_conflict(make_record("a"), make_record("b", **change)) == says

    def test_further_metrics_do_not_conflict(self) -> None:
        both = {"metrics": ("accuracy", "noise"), "metric_options": {"noise": {"x": 1}}}
        assert explain_conflict(make_record("a"), make_record("b", benchmark=both)) == ""

    def test_the_reference_is_the_newest_record_that_measured_the_metric(self) -> None:
        old, new = make_record("old"), make_record("new", finished=LATER)
        records = [old, new, make_record("failed", None, finished="2027")]
        assert reference_record(records, "accuracy", lambda _: True) is new
        assert (
            reference_record(records, "accuracy", lambda r: r is not new.metrics["accuracy"]) is old
        )
        assert reference_record(records, "noise", lambda _: True) is None


def test_a_median_cost_ignores_seeds_without_it() -> None:
    costs = [{"adapt_ms": 1.0}, {"adapt_ms": 5.0}, {"adapt_ms": None}, {}]
    records = [make_record(seed=i, cost=cost) for i, cost in enumerate(costs)]
    assert median_cost([*records, make_record()], "adapt_ms") == 3.0
    assert median_cost(records, "peak_device_mb") is None
