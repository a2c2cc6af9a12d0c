"""Permutation tests, Holm's correction, seeds and ranks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metabench.stats import (
    average_ranks,
    friedman,
    holm,
    permutation_test,
    permutation_tests,
    seed_sd,
    tied_groups,
)
from metabench.stats import permutation as permutation_module

DIFFERENCES = st.lists(st.integers(-75, 75).map(lambda n: n / 75), min_size=1, max_size=40)
P_VALUES = st.lists(st.floats(0, 1), max_size=20)


# The paired permutation test.


@given(st.lists(st.integers(-5, 5).filter(bool), min_size=1, max_size=9))
def test_few_differences_are_tested_exactly(differences: list[int]) -> None:
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    observed = sum(differences)
    scaled = [d / 7 for d in differences]
    p = permutation_test(scaled)
    assert p == np.mean([abs(s) >= abs(observed) for s in sums])
    assert permutation_test(scaled, alternative="greater") == np.mean([s >= observed for s in sums])
    assert permutation_test(scaled, alternative="less") == np.mean([s <= observed for s in sums])


def test_random_patterns_agree_with_all_patterns(monkeypatch) -> None:
    differences = np.random.default_rng(3).normal(0.25, 1, size=18)
    drawn = permutation_test(differences, resamples=40_000)
    monkeypatch.setattr(permutation_module, "EXACT", 18)
    exact = permutation_test(differences)
    assert 0.05 < exact < 0.95
    assert drawn == pytest.approx(exact, abs=0.01)


@given(DIFFERENCES)
def test_p_values_are_valid_and_symmetric_in_the_sides(differences: list[float]) -> None:
    mirrored = [-d for d in differences]
    p = permutation_test(differences, resamples=199)
    assert 0 < p <= 1
    assert permutation_test(mirrored, resamples=199) == p
    assert permutation_test(mirrored, alternative="less", resamples=199) == pytest.approx(
        permutation_test(differences, alternative="greater", resamples=199)
    ) or (np.count_nonzero(differences) > permutation_module.EXACT)


@given(DIFFERENCES)
def test_pairs_without_a_difference_do_not_change_an_exact_test(differences: list[float]) -> None:
    few = differences[:10]
    assert permutation_test([*few, 0.0, 0.0, 0.0]) == pytest.approx(permutation_test(few))


def test_the_least_p_value_is_that_of_the_observed_pattern() -> None:
    differences = np.full(600, 0.5)
    assert permutation_test(differences, resamples=99) == 0.01
    assert permutation_test(np.zeros(600)) == 1.0


def test_a_row_does_not_depend_on_other_rows_or_the_chunk_size(
    monkeypatch,
) -> None:
    table = np.random.default_rng(5).normal(0.05, 1, size=(4, 300))
    together = permutation_tests(table, resamples=999, seed=3)
    alone = [permutation_test(row, resamples=999, seed=3) for row in table]
    monkeypatch.setattr(permutation_module, "_CHUNK", 7000)
    assert together.tolist() == alone == permutation_tests(table, resamples=999, seed=3).tolist()
    assert permutation_tests(table, resamples=999, seed=4).tolist() != alone


def test_equal_models_are_significant_in_5_percent() -> None:
    rng = np.random.default_rng(11)
    difficulty = rng.beta(24, 6, size=(2000, 600))
    base, new = rng.binomial(75, difficulty) / 75, rng.binomial(75, difficulty) / 75
    alarms = permutation_tests(new - base, resamples=999) < 0.05
    assert 0.035 <= alarms.mean() <= 0.065


@pytest.mark.parametrize(
    ("differences", "options", "message"),
    [
        ([], {}, "at least one pair"),
        ([0.1, math.nan], {}, "finite"),
        ([0.1, math.inf], {}, "finite"),
        ([0.1], {"resamples": 0}, "not 0"),
    ],
)
def test_invalid_input_of_a_permutation_test_is_an_error(
    differences, options, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        permutation_test(differences, **options)


# Holm's correction.


@given(P_VALUES)
def test_holm_raises_p_values_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(raw <= p <= 1 for raw, p in zip(p_values, corrected, strict=True))
    by_raw = [p for _, p in sorted(zip(p_values, corrected, strict=True))]
    assert by_raw == sorted(by_raw)


@given(P_VALUES.filter(bool), st.floats(0.001, 0.2))
def test_holm_rejects_as_the_step_down_procedure_does(p_values: list[float], alpha: float) -> None:
    rejected = set()
    for place, (p, i) in enumerate(sorted((p, i) for i, p in enumerate(p_values))):
        if (len(p_values) - place) * p >= alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p < alpha} == rejected


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_invalid_p_values(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p])


# Seeds.


def test_seed_sd_does_not_shrink_with_the_number_of_seeds() -> None:
    means = np.random.default_rng(8).normal(0.9, 0.02, size=4000)
    assert seed_sd(means) == pytest.approx(0.02, rel=0.05)
    assert math.isnan(seed_sd([0.9]))
    with pytest.raises(ValueError, match="at least one seed"):
        seed_sd([])


# Ranks.


def test_average_ranks_share_the_mean_of_ties() -> None:
    assert average_ranks([[1, 2, 3], [3, 3, 9]], higher_is_better=False) == [1.25, 1.75, 3.0]
    with pytest.raises(ValueError, match="every algorithm on every benchmark"):
        average_ranks([[0.9, math.nan]])


@pytest.mark.parametrize(("algorithms", "q"), [(3, 2.343), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_that_of_demsars_table(algorithms: int, q: float) -> None:
    table = np.random.default_rng(0).random((12, algorithms))
    found = friedman(table)
    assert found.critical_difference == pytest.approx(
        q * math.sqrt(algorithms * (algorithms + 1) / (6 * 12)), rel=1e-3
    )
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)


def test_ties_alone_have_p_value_1() -> None:
    assert friedman(np.full((6, 4), 0.5))[:2] == (0.0, 1.0)


@pytest.mark.parametrize("shape", [(4, 6), (8, 2)])
def test_few_benchmarks_or_algorithms_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no evidence"):
        friedman(np.random.default_rng(0).random(shape))


def test_tied_groups_are_maximal() -> None:
    assert tied_groups([1.0, 2.0, 3.0], 5.0) == [[0, 1, 2]]
    assert tied_groups([1.0, 2.0, 3.0], 0.5) == []
    assert tied_groups([1.0, 1.0], 0.0) == [[0, 1]]
