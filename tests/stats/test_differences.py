"""The difference of two trained sides, its levels under Holm's procedure, and its power."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from metabench.stats import holm
from metabench.stats.differences import holm_levels, seeds_difference
from metabench.stats.power import least_difference


def side(means: np.ndarray, episodes: int = 20) -> np.ndarray:
    """Returns seeds whose score is the same in every episode."""
    return np.asarray(means)[:, None].repeat(episodes, 1)


@pytest.mark.parametrize("new", [4, 7])
def test_with_equal_episodes_the_test_over_seeds_is_students(new: int) -> None:
    rng = np.random.default_rng(9)
    base, other = rng.normal(0.8, 0.01, 5), rng.normal(0.79, 0.01, new)
    found = seeds_difference(side(base), side(other))
    assert found.p_value == pytest.approx(stats.ttest_ind(base, other).pvalue)
    interval = stats.ttest_ind(other, base).confidence_interval(0.9)
    assert found.interval(0.9) == pytest.approx((interval.low, interval.high))


def test_without_variation_between_seeds_the_test_is_students_over_paired_episodes() -> None:
    rng = np.random.default_rng(10)
    base, new = rng.random((2, 50))
    found = seeds_difference(base[None].repeat(3, 0), new[None].repeat(3, 0))
    assert found.p_value == pytest.approx(stats.ttest_rel(base, new).pvalue)
    assert found.seeds_known
    alone = seeds_difference(base[None], new[None])
    assert alone.p_value == pytest.approx(found.p_value)
    assert not alone.seeds_known


def test_two_one_sided_tests_show_equivalence() -> None:
    rng = np.random.default_rng(11)
    base, new = rng.normal(0.8, 0.001, 6), rng.normal(0.8, 0.001, 6)
    found = seeds_difference(side(base), side(new))
    tests = [
        stats.ttest_ind(new + shift, base, alternative=way).pvalue
        for shift, way in ((0.005, "greater"), (-0.005, "less"))
    ]
    assert found.equivalence(0.005) == pytest.approx(max(tests))
    assert found.equivalence(0.0) >= 0.5


def test_equal_sides_have_no_difference_and_different_constants_a_certain_one() -> None:
    same = seeds_difference(side([0.5, 0.5]), side([0.5, 0.5]))
    assert (same.mean, same.p_value, same.equivalence(0.01)) == (0.0, 1.0, 0.0)
    other = seeds_difference(side([0.5, 0.5]), side([0.25, 0.25]))
    assert (other.p_value, other.equivalence(0.01)) == (0.0, 1.0)
    assert other.interval(0.95) == (-0.25, -0.25)


def test_retraining_alone_is_significant_in_at_most_5_percent() -> None:
    rng = np.random.default_rng(12)
    found = []
    for _ in range(1500):
        shared = rng.normal(0.8, 0.05, 200)
        base, new = (
            shared + rng.normal(0, 0.006, (seeds, 1)) + rng.normal(0, 0.04, (seeds, 200))
            for seeds in (7, 3)
        )
        found.append(seeds_difference(base, new).p_value < 0.05)
    assert 0.01 <= np.mean(found) <= 0.06


@pytest.mark.parametrize("new", [np.zeros((0, 3)), np.zeros((2, 4)), np.zeros(3)])
def test_sides_without_a_seed_or_with_other_episodes_are_errors(new: np.ndarray) -> None:
    with pytest.raises(ValueError, match="with the same episodes"):
        seeds_difference(np.zeros((2, 3)), new)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.2))
def test_a_test_below_its_level_is_one_that_holm_rejects(p_values, alpha: float) -> None:
    levels = holm_levels(p_values, alpha)
    below = [p < level for p, level in zip(p_values, levels, strict=True)]
    assert below == [p < alpha for p in holm(p_values)]
    assert all(alpha / len(p_values) <= level <= alpha for level in levels)


# Power.


@pytest.mark.parametrize(("seeds", "base"), [(3, 3), (3, 7), (10, 10), (1, 7)])
def test_the_least_difference_is_that_of_the_noncentral_distribution(seeds: int, base: int) -> None:
    freedom, error = seeds + base - 2, 0.006 * math.sqrt(1 / seeds + 1 / base)
    critical = stats.t.ppf(0.975, freedom)
    expected = optimize.brentq(
        lambda d: stats.nct.sf(critical, freedom, d / error) - 0.9, 1e-6, 1.0
    )
    found = least_difference(0.006, seeds=seeds, base_seeds=base)
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_stated_difference_is_detected_in_90_percent() -> None:
    rng = np.random.default_rng(13)
    least = least_difference(0.006, seeds=3, base_seeds=7, episode_sd=0.04, episodes=200)
    found = []
    for _ in range(1500):
        shared = rng.normal(0.8, 0.05, 200)
        base, new = (
            shared + loss + rng.normal(0, 0.006, (seeds, 1)) + rng.normal(0, 0.04, (seeds, 200))
            for seeds, loss in ((7, 0.0), (3, -least))
        )
        found.append(seeds_difference(base, new).p_value < 0.05)
    assert 0.85 <= np.mean(found) <= 0.93


def test_a_difference_is_detected_only_where_it_is_observed_as_the_least_effect() -> None:
    sd, seeds = 0.001, 20
    least = least_difference(sd, seeds=seeds, min_effect=0.01)
    assert least == pytest.approx(0.01 + stats.norm.ppf(0.9) * sd * math.sqrt(2 / seeds))


def test_one_seed_a_side_detects_nothing_and_more_seeds_detect_less() -> None:
    assert least_difference(0.006, seeds=1) == math.inf
    found = [least_difference(0.006, seeds=n) for n in (2, 3, 5, 10, 100)]
    assert found == sorted(found, reverse=True)
    assert least_difference(0.0, seeds=3) == 0.0
