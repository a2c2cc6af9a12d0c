"""Scores after equal seconds of meta-training."""

import pytest

from metabench.leaderboard.equal_seconds import equal_seconds, score_after
from metabench.records.schema import CurvePoint, Record, Training
from tests.helpers.cells import make_record


def trained(
    name: str, curve: list[tuple[float, float]], *, seed: int = 0, direction: str = "higher"
) -> Record:
    """Returns a record with a learning curve of pairs of seconds and score."""
    points = [
        CurvePoint(examples=i, steps=i, seconds=seconds, loss=None, score=score)
        for i, (seconds, score) in enumerate(curve, start=1)
    ]
    record = make_record(name, seed=seed, direction=direction, training=Training(curve=points))
    record.metrics[record.metric].unit = "share"
    return record


FAST = trained("fast", [(1, 0.5), (2, 0.6)])
SLOW = trained("slow", [(5, 0.4), (10, 0.9)])
MIDDLE = trained("middle", [(2, 0.3), (4, 0.7)])


def table(*records: Record) -> dict[str, list[str]]:
    lines = equal_seconds(records).splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in (cells[0], *cells[2:])}


def test_the_columns_are_the_ends_of_the_fastest_the_median_and_the_slowest_training() -> None:
    shown = table(FAST, SLOW, MIDDLE)
    assert shown["algorithm"] == ["2 s", "4 s", "10 s"]
    assert shown["fast"] == ["60.0", "60.0", "60.0"]
    assert shown["middle"] == ["30.0", "70.0", "70.0"]
    assert shown["slow"] == ["-", "-", "90.0"]


def test_rows_are_sorted_by_the_middle_time_and_those_without_a_score_are_last() -> None:
    assert list(table(FAST, SLOW, MIDDLE)) == ["algorithm", "middle", "fast", "slow"]


def test_the_transductive_track_follows_the_inductive_one_and_says_so() -> None:
    best = trained("best", [(1, 0.99)])
    best.track = "transductive"
    assert list(table(FAST, SLOW, best))[1:] == ["fast", "slow", "best (transductive)"]


@pytest.mark.parametrize(("direction", "best"), [("higher", 0.8), ("lower", 0.5)])
def test_the_best_state_by_then_counts_and_not_the_last(direction: str, best: float) -> None:
    record = trained("a", [(1, 0.5), (2, 0.8), (3, 0.6)], direction=direction)
    assert score_after(record, 3.0) == best


def test_seeds_are_averaged_and_a_time_that_one_seed_did_not_reach_has_no_score() -> None:
    seeds = [trained("a", [(1, 0.4), (3, 0.6)]), trained("a", [(2, 0.5), (5, 0.8)], seed=1)]
    assert table(*seeds, trained("b", [(1, 0.1)]))["a"] == ["-", "55.0", "70.0"]


def test_without_meta_training_there_is_no_table() -> None:
    assert equal_seconds([make_record("nearest-mean")]) == ""
