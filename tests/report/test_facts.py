"""What a report shows of the records, and what it leaves out by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.records.comparable import sound
from metabench.report.facts import file_names, gather
from tests.helpers.cells import made_record
from tests.helpers.many_records import full_record


def test_benchmarks_are_sections_in_natural_order_and_versions_are_never_mixed() -> None:
    records = [
        made_record("maml", benchmark={"name": "b-20w"}),
        made_record("maml", benchmark={"name": "b-5w"}),
        made_record("maml", benchmark={"name": "b-5w", "version": "2"}),
    ]
    facts = gather(records)
    assert [s.title for s in facts.sections] == ["b-5w@1", "b-5w@2", "b-20w@1"]
    assert [len(s.rows) for s in facts.sections] == [1, 1, 1]


def test_quick_records_are_left_out_and_counted() -> None:
    records = [made_record("maml"), made_record("maml", benchmark={"quick": True})]
    facts = gather(records)
    assert [s.title for s in facts.sections] == ["blobs-3w1s@1"]
    assert facts.left_out == ["1 record(s) of a --quick run"]
    assert [s.title for s in gather(records, quick=True).sections] == ["blobs-3w1s@1+quick"]


def test_a_record_of_other_episodes_than_most_is_named_and_keeps_nobody_from_being_ranked() -> None:
    odd = made_record("odd", (0.9, 1.0), episode_digest="f" * 64)
    facts = gather([odd, made_record("maml"), made_record("protonet")])
    (section,) = facts.sections
    assert [row.algorithm for row in section.rows] == ["maml", "protonet"]
    assert facts.unsound == [f"{odd.file_name}: it was tested on other episodes than most"]


def test_a_record_of_another_definition_than_most_is_named() -> None:
    odd = made_record("odd", (0.9, 1.0), benchmark={"ways": 2})
    facts = gather([made_record("maml"), odd, made_record("protonet")])
    assert [row.algorithm for row in facts.sections[0].rows] == ["maml", "protonet"]
    assert facts.unsound == [
        f"{odd.file_name}: its benchmark is defined otherwise than in most records"
    ]


def test_a_metric_of_other_options_than_most_is_left_out_and_the_record_stays() -> None:
    odd = full_record("odd", 0.9, 1.0, benchmark={"metric_options": {"noise": {"episodes": 3}}})
    kept, left_out = sound([full_record("maml", 0.8, 1.0), odd, full_record("protonet", 0.9, 2.0)])
    assert left_out == [f"{odd.file_name}: its noise was measured with other options than in most"]
    metrics = {record.algorithm.name: set(record.metrics) for record in kept}
    assert metrics["maml"] == metrics["protonet"] == metrics["odd"] | {"noise"}
    assert "adversarial" in metrics["odd"]
    assert "noise" in odd.metrics


@pytest.mark.parametrize("score", [7.0, -0.1, 1e120])
def test_a_score_that_cannot_be_is_never_ranked(score: float) -> None:
    odd = made_record("odd", (0.5, score))
    kept, left_out = sound([odd, made_record("maml")])
    assert [r.algorithm.name for r in kept] == ["maml"]
    assert left_out == [f"{odd.file_name}: its accuracy of an episode is {score:g}"]


def test_replaced_records_are_not_shown() -> None:
    old = made_record(
        "maml", (0.1, 0.2), finished="2025-01-01T00:00:00+00:00", hyperparameters={"lr": 1}
    )
    new = made_record("maml", (0.3, 0.4), hyperparameters={"lr": 2})
    (section,) = gather([old, new]).sections
    assert section.well("maml") == [new]


def test_an_algorithm_has_one_look_in_all_sections() -> None:
    records = [
        made_record(n, benchmark={"name": b}) for b, n in (("one", "z"), ("two", "a"), ("two", "z"))
    ]
    facts = gather(records)
    assert facts.sections[0].styles is facts.sections[1].styles
    assert facts.sections[0].styles == {"a": 0, "z": 1}


@given(st.lists(st.text(), unique=True))
def test_file_names_are_unique_and_of_this_folder(labels: list[str]) -> None:
    names = list(file_names(labels).values())
    assert len({name.lower() for name in names}) == len(labels)
    for name in names:
        assert name.endswith(".html")
        assert len(name) < 100
        assert all(c.isascii() and (c.isalnum() or c in "-_") for c in name.removesuffix(".html"))


def test_file_names_of_paths_and_of_imitations() -> None:
    one = file_names(["../../x"])["../../x"]
    names = file_names(["../../x", one.removesuffix(".html"), "Maml", "maml"])
    assert len(set(names.values())) == 4
    assert names["maml"] == "maml.html"
