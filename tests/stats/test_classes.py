"""The interval for new classes, origins and groups."""

import numpy as np
import pytest

from metabench.stats import class_interval, t_interval
from tests.helpers.simulations import TRUTH, class_episodes


def test_with_equal_classes_the_class_interval_equals_the_episode_interval() -> None:
    rng = np.random.default_rng(4)
    shown, hits = class_episodes(rng, classes=200, episodes=600, spread=0.0)
    interval = class_interval(shown, hits, queries=15)
    mean, half_width = t_interval(hits.mean(1) / 15)
    assert interval.mean == pytest.approx(mean)
    assert interval.half_width == pytest.approx(half_width, rel=0.35)


def test_with_classes_shown_once_the_class_interval_equals_the_episode_interval() -> None:
    rng = np.random.default_rng(6)
    shown = rng.permutation(1000).reshape(200, 5)
    hits = rng.binomial(15, 0.8, size=(200, 5))
    interval = class_interval(shown, hits, queries=15)
    assert interval.clusters == 1000
    assert interval.half_width == pytest.approx(t_interval(hits.mean(1) / 15).half_width, rel=0.1)


def test_the_class_interval_ignores_class_names_and_their_order() -> None:
    shown, hits = class_episodes(np.random.default_rng(7), classes=20, episodes=50, spread=0.05)
    interval = class_interval(shown, hits, queries=15)
    assert class_interval(1000 + 7 * shown, hits, queries=15) == interval
    assert class_interval(shown[:, ::-1], hits[:, ::-1], queries=15) == pytest.approx(interval)


def test_rotations_of_one_character_are_not_four_characters() -> None:
    """Four classes of each origin share its difficulty: a pool of 40, not of 160."""
    rng = np.random.default_rng(8)
    origin, _ = class_episodes(rng, classes=40, episodes=600, spread=0.1)
    shown = 4 * origin + rng.integers(0, 4, origin.shape)
    easy = rng.normal(0, 0.1, 40)
    hits = rng.binomial(15, np.clip(TRUTH + easy[origin], 0, 1))
    by_class = class_interval(shown, hits, queries=15)
    by_origin = class_interval(origin, hits, queries=15)
    assert (by_class.clusters, by_origin.clusters) == (160, 40)
    assert by_origin.half_width > 1.5 * by_class.half_width


def test_the_interval_of_groups_covers_the_accuracy_on_new_groups() -> None:
    """Twelve alphabets that differ: an interval over their characters is far too narrow."""
    rng = np.random.default_rng(9)
    covered = {"group": 0, "class": 0}
    for _ in range(200):
        group_of = np.arange(120) // 10
        easy = rng.normal(0, 0.05, 12)[group_of] + rng.normal(0, 0.03, 120)
        shown = np.argsort(rng.random((300, 120)), axis=1)[:, :5]
        hits = rng.binomial(15, np.clip(TRUTH + easy[shown], 0, 1))
        for name, clusters in (("group", group_of[shown]), ("class", shown)):
            interval = class_interval(clusters, hits, queries=15)
            covered[name] += interval.low <= TRUTH <= interval.high
    assert covered["group"] / 200 >= 0.91
    assert covered["class"] / 200 <= 0.75


@pytest.mark.parametrize("right", [0, 15])
def test_equal_scores_at_an_end_have_an_interval_within_0_and_1(right: int) -> None:
    shown, _ = class_episodes(np.random.default_rng(11), classes=20, episodes=50, spread=0.0)
    interval = class_interval(shown, np.full(shown.shape, right), queries=15)
    assert 0 <= interval.low < interval.high <= 1
    assert interval.mean in (interval.low, interval.high)


@pytest.mark.parametrize(
    ("classes", "hits", "message"),
    [
        ([[0, 1]], [[1, 1]], "at least two"),
        ([[0, 1], [1, 2]], [[1], [1]], "episodes, ways"),
        ([[0, 1], [1, 0]], [[1, 1], [1, 1]], "the same classes"),
    ],
)
def test_invalid_input_of_the_class_interval_is_an_error(classes, hits, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_interval(classes, hits, queries=5)
