"""The interval over episodes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metabench.stats import t_interval

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
