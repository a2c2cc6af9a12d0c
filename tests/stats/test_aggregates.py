"""Scores over several benchmarks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metabench.stats import (
    average_rank_intervals,
    average_ranks,
    bootstrap_means,
    interquartile_interval,
    interquartile_mean,
    performance_profile,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_interquartile_mean_is_scipys_trimmed_mean(runs: list[float]) -> None:
    assert interquartile_mean(runs) == pytest.approx(stats.trim_mean(runs, 0.25), abs=1e-12)


def test_one_failed_run_in_eight_does_not_change_the_interquartile_mean_much() -> None:
    assert interquartile_mean([0.9] * 7 + [0.0]) == pytest.approx(0.9)
    with pytest.raises(ValueError, match="at least one run"):
        interquartile_mean([])


def test_the_interval_of_the_interquartile_mean_covers_it() -> None:
    """Ten algorithms on four benchmarks, trained with five seeds, 60 times."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(60):
        truth = rng.uniform(0.5, 0.9, (4, 10))
        found = []
        for row in truth:
            scores = [
                mean + rng.normal(0, 0.02, (5, 1)) + rng.normal(0, 0.05, (5, 100)) for mean in row
            ]
            found.append((scores, bootstrap_means(scores, resamples=800)))
        for k in range(10):
            low, high = interquartile_interval(
                [scores[k].mean(1) for scores, _ in found],
                np.stack([one.deviations[:, k] for _, one in found]),
            )
            covered.append(low <= interquartile_mean(np.repeat(truth[:, k], 5)) <= high)
    assert 0.9 <= np.mean(covered) <= 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_profile_never_rises_and_its_area_is_the_mean(runs: list[float]) -> None:
    thresholds = np.linspace(0, 1, 2001)[:-1]
    profile = performance_profile(runs, thresholds)
    assert profile == sorted(profile, reverse=True)
    assert np.mean(profile) == pytest.approx(np.mean(runs), abs=1e-3)


def test_average_rank_intervals_hold_the_true_average_rank() -> None:
    rng = np.random.default_rng(1)
    outside = 0
    for _ in range(100):
        truth = rng.normal(0.8, 0.01, (3, 5))
        tables = [
            bootstrap_means(
                [m + rng.normal(0, 0.006, (3, 1)) + rng.normal(0, 0.03, (3, 80)) for m in row],
                resamples=600,
            )
            for row in truth
        ]
        found = average_rank_intervals(tables, [True] * 3)
        true_ranks = average_ranks(truth)
        outside += any(
            not low <= rank <= high for (low, high), rank in zip(found, true_ranks, strict=True)
        )
    assert outside <= 5


def test_without_noise_the_interval_is_the_average_rank() -> None:
    tables = [
        bootstrap_means([np.full((3, 8), mean) for mean in row]) for row in ([0.9, 0.5], [1, 2])
    ]
    assert average_rank_intervals(tables, [True, False]) == [(1.0, 1.0), (2.0, 2.0)]
