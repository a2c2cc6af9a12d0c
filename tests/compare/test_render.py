"""The outputs of a comparison, and its warnings about costs."""

import json
from typing import Any

import numpy as np
import pytest

from metabench.compare import (
    benchmark_entries,
    compare,
    sentence,
    to_document,
    to_markdown,
    to_table,
)
from metabench.records.schema import Record
from tests.compare.test_comparison import only, record, trained

MACHINE = {"cpu": "a", "gpu": None, "threads": 1, "torch": "2.13.0", "device": "cpu"}


# Time and memory.

COST = {
    "adapt_ms": 10.0,
    "adapt_ms_iqr": 1.0,
    "predict_ms": 5.0,
    "predict_ms_iqr": 0.1,
    "peak_process_mb": 500.0,
}


def timed(environment: dict[str, Any] = MACHINE, **cost: float) -> Record:
    return record(cost=COST | cost, environment=environment)


def test_time_and_memory_only_warn() -> None:
    row = only([timed()], [timed(adapt_ms=20.0, predict_ms=5.5, peak_process_mb=700.0)])
    assert row.verdict == "equivalent"
    assert row.warnings == (
        "slower: adapt_ms was 10 and is 20",
        "larger: peak_process_mb was 500 and is 700",
    )
    assert (
        "slower: adapt"
        in to_markdown(compare([timed()], [timed(adapt_ms=20.0)])).partition("<details>")[0]
    )


def test_a_timing_within_the_interquartile_ranges_does_not_warn() -> None:
    assert only([timed(adapt_ms_iqr=8.0)], [timed(adapt_ms=17.0)]).warnings == ()


@pytest.mark.parametrize("fact", list(MACHINE))
def test_costs_of_another_machine_are_not_compared_with_the_reason(fact: str) -> None:
    other = MACHINE | {fact: "other"}
    row = only([timed()], [timed(other, adapt_ms=50.0)])
    assert row.warnings == ()
    assert row.other_machine == f"{fact} was {MACHINE[fact]} and is other"
    assert "another machine" in to_markdown(compare([timed()], [timed(other)]))


# Outputs.


def test_the_benchmark_json_is_valid_for_the_action() -> None:
    flat = np.linspace(0.4, 0.6, 20)
    found = compare(
        [*trained(scores=flat), record("gone")],
        [
            *trained(scores=flat + 0.1),
            record(
                "new", scores=2 * flat, metric="mse", direction="lower", benchmark={"name": "waves"}
            ),
            record(
                "zero",
                scores=0 * flat,
                metric="mse",
                direction="lower",
                benchmark={"name": "waves"},
            ),
            record("broken", None),
        ],
    )
    entries = json.loads(json.dumps(benchmark_entries(found), allow_nan=False))
    assert [entry["name"] for entry in entries] == [
        "maml on blobs-3w1s@1: accuracy",
        "new on waves@1: 1 / mse",
    ]
    accuracy, error = entries
    assert set(accuracy) == {"name", "unit", "value", "range", "extra"}
    assert (accuracy["unit"], accuracy["value"]) == ("share", pytest.approx(0.6))
    assert accuracy["range"].startswith("± 0.02")
    assert "better" in accuracy["extra"]
    assert error["value"] == pytest.approx(1.0)
    assert "mse 1" in error["extra"]


def test_the_summary_states_the_verdict_and_shows_the_worst_first() -> None:
    flat = np.full(30, 0.5)
    found = compare(
        [*trained("a", flat), *trained("b", flat)],
        [*trained("a", flat - 0.042), *trained("b", flat)],
    )
    text = to_markdown(found, notices=["a remark"])
    assert "1 of 2 cells is worse: a on blobs-3w1s@1 by 4.2 points (p = 0.0001" in sentence(found)
    assert text.index("| worse") < text.index("<summary>1 equivalent")
    assert "* a remark" in text
    assert to_document(found)["regressions"] == 1
    assert to_table(found).splitlines()[2].startswith("worse")


HOSTILE = "<script>alert(1)</script> | [x](http://a.example) @someone `rm` ![i](x)\n# heading"


def test_text_of_records_is_escaped_in_markdown() -> None:
    found = compare([record(HOSTILE)], [record(HOSTILE, None, reason=HOSTILE)])
    text = to_markdown(found)
    for mark in ("<script", "[x]", "@someone", "`rm`", "![", "\n# heading"):
        assert mark not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
