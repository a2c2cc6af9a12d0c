"""The interval over episodes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metabench.stats import t_interval
from metabench.stats.intervals import share_interval

SCORES = st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=2, max_size=50)


@given(SCORES, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_equals_that_of_scipy(scores: list[float], confidence: float) -> None:
    mean, half_width = t_interval(scores, confidence=confidence)
    error = stats.sem(scores)
    assert mean == pytest.approx(np.mean(scores), rel=1e-12, abs=1e-12)
    assert half_width == pytest.approx(
        stats.t.ppf(0.5 + confidence / 2, len(scores) - 1) * error, rel=1e-9
    )


@given(SCORES, st.randoms())
def test_the_interval_does_not_depend_on_the_order(scores: list[float], shuffler) -> None:
    mixed = list(scores)
    shuffler.shuffle(mixed)
    assert t_interval(mixed) == pytest.approx(t_interval(scores), rel=1e-9, abs=1e-9)


def test_equal_scores_have_an_interval_of_width_0() -> None:
    assert t_interval([0.5] * 7) == (0.5, 0.0)


def test_one_score_has_no_interval_and_an_empty_list_is_an_error() -> None:
    mean, half_width = t_interval([0.3])
    assert mean == 0.3
    assert math.isnan(half_width)
    with pytest.raises(ValueError, match="at least one score"):
        t_interval([])


# Intervals of shares.


@given(st.integers(0, 100), st.floats(1e-6, 0.6), st.integers(1, 600))
def test_the_interval_of_a_share_holds_the_share_and_lies_within_0_and_1(
    hits: int, error: float, freedom: int
) -> None:
    share = hits / 100
    low, high = share_interval(share, error, freedom=freedom, units=freedom + 1)
    assert 0 <= low <= share <= high <= 1


def test_the_interval_of_a_share_is_wilsons_for_independent_trials() -> None:
    for hits, n in ((0, 20), (3, 20), (60, 100), (20, 20)):
        share = hits / n
        error = (share * (1 - share) / n) ** 0.5
        wilson = stats.binomtest(hits, n).proportion_ci(method="wilson")
        low, high = share_interval(share, error, freedom=1e9, units=n)
        assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=1e-6)


def test_a_small_error_gives_students_interval() -> None:
    low, high = share_interval(0.7, 1e-4, freedom=20, units=21)
    half = stats.t.ppf(0.975, 20) * 1e-4
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), abs=1e-7)


def test_the_interval_of_a_high_accuracy_covers_it() -> None:
    """At 98.5 % over 50 episodes Student's interval reaches beyond 1."""
    rng = np.random.default_rng(0)
    scores = rng.binomial(25, 0.985, size=(2000, 50)) / 25
    found = [
        share_interval(row.mean(), row.std(ddof=1) / 50**0.5, freedom=49, units=50)
        for row in scores
    ]
    covered = np.mean([low <= 0.985 <= high for low, high in found])
    assert 0.93 <= covered <= 0.99
