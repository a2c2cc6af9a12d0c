"""Rank intervals: what a table can tell about the order of its algorithms."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.stats.bootstrap import ClassSlots, bootstrap_means
from metabench.stats.rank_intervals import RankIntervals, rank_intervals


def scores_of(
    rng: np.random.Generator, truth: np.ndarray, *, seeds: int, seed_sd: float, episodes: int = 100
) -> list[np.ndarray]:
    """Returns the scores of algorithms with these true means, trained with several seeds."""
    shared = rng.normal(0, 0.05, episodes)
    return [
        mean + shared + rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, 0.03, (seeds, episodes))
        for mean in truth
    ]


def ranked(scores: list[np.ndarray], **options: object) -> RankIntervals:
    return rank_intervals(bootstrap_means(scores, resamples=1000), **options)


def constant(*means: float) -> list[np.ndarray]:
    return [np.full((3, 8), mean) for mean in means]


def test_known_scores_have_ranks_without_uncertainty() -> None:
    found = ranked(constant(0.5, 0.9, 0.5, 0.1))
    assert (found.low, found.high) == ([2, 1, 2, 4], [3, 1, 3, 4])
    assert found.level == [2, 1, 2, 3]
    assert found.probability[1].tolist() == [1.0, 0.5, 1.0, 1.0]
    assert found.probability[0, 2] == 0.5


def test_the_lowest_error_has_rank_1() -> None:
    found = ranked(constant(0.5, 0.9), higher_is_better=False)
    assert (found.low, found.high, found.probability[0, 1]) == ([1, 2], [1, 2], 1.0)


def test_one_algorithm_alone_has_rank_1() -> None:
    assert ranked(constant(0.5))[:3] == ([1], [1], [1])


def test_a_gap_within_the_variation_between_seeds_is_no_rank() -> None:
    """The episodes alone tell the two apart; another training could exchange them."""
    rng = np.random.default_rng(1)
    scores = scores_of(rng, np.array([0.8, 0.81]), seeds=3, seed_sd=0.02, episodes=2000)
    apart = [one.mean(0) for one in scores]
    assert abs((apart[1] - apart[0]).mean()) > 5 * (apart[1] - apart[0]).std() / 2000**0.5
    assert ranked(scores).low == [1, 1]
    assert ranked(scores).high == [2, 2]


def test_more_seeds_tell_more_apart() -> None:
    truth = np.linspace(0.7, 0.8, 6)
    levels = [
        max(ranked(scores_of(np.random.default_rng(1), truth, seeds=n, seed_sd=0.01)).level)
        for n in (3, 30)
    ]
    assert levels[0] < levels[1] == 6


def test_groups_of_classes_widen_the_intervals() -> None:
    """Two algorithms that differ on the classes of one group alone are not told apart."""
    rng = np.random.default_rng(2)
    clusters = np.arange(100)[:, None].repeat(2, 1) // 25  # four groups
    values = np.zeros((2, 100, 2)) + 0.5 + rng.normal(0, 0.01, (2, 100, 2))
    values[0, :25] += 0.2
    scores = [one.mean(1)[None].repeat(3, 0) for one in values]
    assert ranked(scores).low == [1, 2]
    grouped = bootstrap_means(scores, classes=ClassSlots(clusters, values), resamples=1000)
    assert rank_intervals(grouped).low == [1, 1]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=7), st.randoms())
def test_intervals_do_not_depend_on_the_order_and_hold_the_place(means, mixer) -> None:
    order = list(range(len(means)))
    mixer.shuffle(order)
    found = ranked(constant(*means))
    mixed = ranked(constant(*(means[i] for i in order)))
    assert [found.low[i] for i in order] == mixed.low
    for mean, low, high in zip(means, found.low, found.high, strict=True):
        assert low == 1 + sum(other > mean for other in means)
        assert high == sum(other >= mean for other in means)
    assert max(found.level) == len(set(means))


def test_equal_scores_in_another_order_are_not_told_apart() -> None:
    rng = np.random.default_rng(3)
    seeds = rng.random((5, 1)).repeat(20, 1)
    assert ranked([seeds, seeds[::-1]]).low == [1, 1]


@pytest.mark.parametrize(
    ("algorithms", "seeds", "sd"), [(5, 3, 0.006), (18, 3, 0.006), (5, 7, 0.02)]
)
def test_a_false_order_is_stated_in_at_most_5_percent_of_tables(
    algorithms: int, seeds: int, sd: float
) -> None:
    """True means are nearly equal: the hardest case. 300 tables have a standard error of 1.3 %."""
    rng = np.random.default_rng([algorithms, seeds])
    false = covered = 0
    for _ in range(300):
        truth = rng.normal(0.8, 0.0005, algorithms)
        found = ranked(scores_of(rng, truth, seeds=seeds, seed_sd=sd))
        false += bool((found.better & (truth[:, None] <= truth)).any())
        place = 1 + (truth > truth[:, None]).sum(1)
        covered += sum(
            low <= rank <= high
            for low, rank, high in zip(found.low, place, found.high, strict=True)
        )
    assert false / 300 <= 0.05 + 2 * 0.013
    assert covered / (300 * algorithms) >= 0.95


def test_equal_algorithms_that_are_good_at_other_classes_are_not_told_apart() -> None:
    """Each has its own easy classes; the truth is the mean over all classes, which is equal.

    200 tables have a standard error of 1.5 %.
    """
    rng = np.random.default_rng(4)
    false = {True: 0, False: 0}
    for _ in range(200):
        easy = rng.normal(0, 0.06, (3, 40))
        shown = np.argsort(rng.random((200, 40)), axis=1)[:, :5]
        shares = np.clip(0.7 + easy[:, shown] + rng.normal(0, 0.1, (3, 200, 5)), 0, 1)
        scores = [one.mean(1)[None] + rng.normal(0, 0.002, (3, 1)) for one in shares]
        for counted in (True, False):
            classes = ClassSlots(shown, shares) if counted else None
            found = rank_intervals(bootstrap_means(scores, classes=classes, resamples=1000))
            false[counted] += bool(found.better.any())
    assert false[True] / 200 <= 0.05 + 2 * 0.015
    assert false[False] / 200 > 0.5, "over episodes of the same classes alone"


def test_400_algorithms_are_ranked_within_10_seconds() -> None:
    rng = np.random.default_rng(5)
    scores = scores_of(rng, rng.uniform(0.5, 0.9, 400), seeds=5, seed_sd=0.006, episodes=600)
    shown = np.argsort(rng.random((600, 100)), axis=1)[:, :5]
    classes = ClassSlots(shown, rng.normal(0.7, 0.2, (400, 600, 5)))
    # Of the processor, because other processes may be using the machine.
    start = time.process_time()
    found = rank_intervals(bootstrap_means(scores, classes=classes))
    assert time.process_time() - start < 10
    assert len(found.low) == 400
    assert max(found.level) > 5
