"""The comparison of a public score with one on salted episodes."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from metabench.compare import compare
from metabench.compare.salted import welch_difference
from metabench.compare.verdicts import ComparisonRow
from metabench.records.schema import Record
from tests.helpers.cells import make_record

SALT = "5" * 64


def record(mean: float, *, salted: bool = False, episodes: int = 400, **changes: Any) -> Record:
    """A record of accuracies with this mean, on public or salted episodes."""
    # A digest of its own: the episodes of a salt are others.
    if salted:
        changes |= {"benchmark": {"episodes_salt": SALT}, "episode_digest": "5" * 64}
    noise = np.random.default_rng(salted).uniform(-0.1, 0.1, episodes)
    scores = tuple((mean + noise - noise.mean()).tolist())
    made = make_record("maml", scores, **changes)
    made.metrics["accuracy"].unit = "share"
    return made


def only(base: list[Record], new: list[Record]) -> ComparisonRow:
    (row,) = compare(base, new).rows
    return row


def test_a_memorised_public_score_does_not_hold() -> None:
    row = only([record(0.9)], [record(0.6, salted=True)])
    assert row.verdict == "worse"
    assert row.reason == "the public score does not hold on the salted episodes"
    assert row.difference == pytest.approx(-0.3)
    assert row.benchmark == "blobs-3w1s@1+salt-55555555"


def test_an_honest_public_score_holds() -> None:
    row = only([record(0.8)], [record(0.801, salted=True)])
    assert row.verdict == "equivalent"
    assert row.reason == "the public score holds on the salted episodes"


def test_few_episodes_leave_it_open() -> None:
    row = only([record(0.8, episodes=4)], [record(0.79, salted=True, episodes=4)])
    assert (row.verdict, row.reason) == (
        "undecided",
        "too few episodes to tell whether the public score holds",
    )


def test_the_salted_side_may_be_the_base() -> None:
    row = only([record(0.6, salted=True)], [record(0.9)])
    assert row.verdict == "better"
    assert row.reason == "the public score does not hold on the salted episodes"


def test_a_folder_with_both_is_compared_with_itself_and_with_the_salted_side() -> None:
    rows = compare([record(0.9)], [record(0.9), record(0.6, salted=True)]).rows
    assert [(row.verdict, row.benchmark) for row in rows] == [
        ("worse", "blobs-3w1s@1+salt-55555555"),
        ("equivalent", "blobs-3w1s@1"),
    ]


def test_one_folder_with_both_can_be_compared_with_itself() -> None:
    both = [record(0.9), record(0.6, salted=True)]
    rows = compare(both, both).rows
    assert [row.verdict for row in rows] == ["worse", "equivalent", "equivalent"]
    assert rows[0].reason == "the public score does not hold on the salted episodes"


def test_another_definition_is_not_comparable() -> None:
    other = record(0.6, salted=True)
    other.benchmark = other.benchmark.model_copy(update={"budget": 1})
    row = only([record(0.9)], [other])
    assert row.verdict == "not-comparable"


def test_honest_scores_are_called_worse_at_most_as_often_as_alpha_says() -> None:
    generator = np.random.default_rng(0)
    sides = [generator.normal(0.5, 0.1, (2, 50)) for _ in range(2000)]
    p_values = [welch_difference(*both).p_value for both in sides]
    # 0.05 plus three standard errors of 2000 trials.
    assert 0.035 < np.mean(np.less(p_values, 0.05)) < 0.065


def test_the_test_agrees_with_scipy() -> None:
    generator = np.random.default_rng(1)
    base, new = generator.normal(0.5, 0.1, 30), generator.normal(0.6, 0.3, 12)
    difference = welch_difference(base, new)
    found = stats.ttest_ind(new, base, equal_var=False)
    low, high = found.confidence_interval(0.95)
    assert difference.p_value == pytest.approx(found.pvalue, rel=1e-9)
    assert difference.interval(0.95) == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize(("new", "p_value"), [(0.5, 1.0), (0.6, 0.0)])
def test_scores_without_variance_have_a_p_value(new: float, p_value: float) -> None:
    difference = welch_difference(np.full(3, 0.5), np.full(4, new))
    low, high = difference.interval(0.95)
    assert (difference.p_value, high - low) == (p_value, 0.0)


def test_one_episode_has_none() -> None:
    difference = welch_difference(np.ones(1), np.ones(2))
    assert difference.p_value == 1.0
    assert all(math.isnan(end) for end in difference.interval(0.95))
