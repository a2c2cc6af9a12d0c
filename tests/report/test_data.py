"""The data of a report, and the records that it leaves out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.report.data import file_names, gather
from tests.helpers.cells import make_record
from tests.helpers.many_records import full_record


def test_benchmarks_are_in_natural_order_and_versions_are_separate() -> None:
    records = [
        make_record("maml", benchmark={"name": "b-20w"}),
        make_record("maml", benchmark={"name": "b-5w"}),
        make_record("maml", benchmark={"name": "b-5w", "version": "2"}),
    ]
    data = gather(records)
    assert [s.title for s in data.benchmarks] == ["b-5w@1", "b-5w@2", "b-20w@1"]
    assert [len(s.rows) for s in data.benchmarks] == [1, 1, 1]


def test_quick_records_are_left_out_and_counted() -> None:
    records = [make_record("maml"), make_record("maml", benchmark={"quick": True})]
    data = gather(records)
    assert [s.title for s in data.benchmarks] == ["blobs-3w1s@1"]
    assert data.left_out == ["1 record of --quick runs"]
    assert [s.title for s in gather(records, quick=True).benchmarks] == ["blobs-3w1s@1+quick"]


def test_a_record_of_different_episodes_is_rejected_and_the_others_ranked() -> None:
    other = make_record("other", (0.9, 1.0), episode_digest="f" * 64)
    data = gather([other, make_record("maml"), make_record("protonet")])
    (results,) = data.benchmarks
    assert [row.algorithm for row in results.rows] == ["maml", "protonet"]
    assert data.rejected == [
        f"{other.file_name}: its test episodes differ from those of most records"
    ]


def test_a_record_of_a_different_definition_is_rejected_by_name() -> None:
    other = make_record("other", (0.9, 1.0), benchmark={"ways": 2})
    data = gather([make_record("maml"), other, make_record("protonet")])
    assert [row.algorithm for row in data.benchmarks[0].rows] == ["maml", "protonet"]
    assert data.rejected == [
        f"{other.file_name}: its benchmark definition differs from that of most records"
    ]


def test_a_metric_with_unusual_options_is_left_out_and_the_record_kept() -> None:
    options = {"metric_options": {"noise": {"episodes": 3}}}
    other = full_record("other", 0.9, 1.0, benchmark=options)
    data = gather([full_record("maml", 0.8, 1.0), other, full_record("protonet", 0.9, 2.0)])
    assert data.rejected == [
        f"{other.file_name}: its noise was measured with other options than in most records"
    ]
    (results,) = data.benchmarks
    (kept,) = results.ok("other")
    assert "noise" not in kept.metrics
    assert "adversarial" in kept.metrics


@pytest.mark.parametrize("score", [7.0, -0.1, 1e120])
def test_an_invalid_score_is_rejected(score: float) -> None:
    other = make_record("other", (0.5, score))
    data = gather([other, make_record("maml")])
    assert list(data.files) == ["maml"]
    assert data.rejected == [f"{other.file_name}: invalid accuracy {score:g} of an episode"]


def test_superseded_records_are_not_shown() -> None:
    old = make_record(
        "maml", (0.1, 0.2), finished="2025-01-01T00:00:00+00:00", hyperparameters={"lr": 1}
    )
    new = make_record("maml", (0.3, 0.4), hyperparameters={"lr": 2})
    (results,) = gather([old, new]).benchmarks
    assert results.ok("maml") == [new]


def test_an_algorithm_has_one_style_on_all_benchmarks() -> None:
    records = [
        make_record(n, benchmark={"name": b}) for b, n in (("one", "z"), ("two", "a"), ("two", "z"))
    ]
    data = gather(records)
    assert data.benchmarks[0].styles is data.benchmarks[1].styles
    assert data.benchmarks[0].styles == {"a": 0, "z": 1}


@given(st.lists(st.text(), unique=True))
def test_file_names_are_unique_and_stay_in_the_folder(labels: list[str]) -> None:
    names = list(file_names(labels).values())
    assert len({name.lower() for name in names}) == len(labels)
    for name in names:
        assert name.endswith(".html")
        assert len(name) < 100
        assert all(c.isascii() and (c.isalnum() or c in "-_") for c in name.removesuffix(".html"))


def test_file_names_of_paths_and_of_imitations_differ() -> None:
    one = file_names(["../../x"])["../../x"]
    names = file_names(["../../x", one.removesuffix(".html"), "Maml", "maml"])
    assert len(set(names.values())) == 4
    assert names["maml"] == "maml.html"
