"""The promises of ``docs/statistics.md`` hold in simulation, and its numbers follow from it."""

import numpy as np
import pytest

from metabench.stats import seeds_test
from tests.helpers import simulations
from tests.helpers.simulations import ACCURACIES, COMPARED, DOCS, DROPS, LENGTHS


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_95_percent_intervals_cover_the_true_accuracy_in_93_5_to_96_5_percent(
    accuracy: float,
) -> None:
    assert 0.935 <= simulations.coverage(accuracy) <= 0.965


@pytest.mark.parametrize("episodes", LENGTHS)
def test_the_class_interval_covers_the_accuracy_on_new_classes(episodes: int) -> None:
    by_class, _ = simulations.coverage_of_new_classes(episodes)
    assert 0.91 <= by_class <= 0.985


def test_the_episode_interval_covers_it_less_with_more_episodes() -> None:
    found = [simulations.coverage_of_new_classes(n)[1] for n in LENGTHS]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.25


@pytest.mark.parametrize("accuracy", COMPARED)
def test_a_comparison_of_ten_cells_has_a_false_alarm_in_at_most_5_percent(accuracy: float) -> None:
    anywhere, _ = simulations.worse_rates(accuracy, 0.0, tables=400, cells=10)
    assert anywhere <= 0.05


@pytest.mark.parametrize("accuracy", COMPARED)
def test_a_comparison_detects_a_drop_of_two_points_in_90_percent(
    accuracy: float,
) -> None:
    assert simulations.EPISODES == 600
    _, seen = simulations.worse_rates(accuracy, 0.02)
    assert seen >= 0.9


@pytest.mark.parametrize("accuracy", COMPARED)
def test_a_comparison_detects_larger_drops_more_often(accuracy: float) -> None:
    seen = [simulations.worse_rates(accuracy, drop)[1] for drop in DROPS]
    assert seen == sorted(seen)


def test_with_three_seeds_another_training_alone_is_rarely_an_alarm() -> None:
    rng = np.random.default_rng(12)
    means = 0.8 + rng.normal(0, 0.02, size=(4000, 2, 3))
    differences = means[:, 1].mean(1) - means[:, 0].mean(1)
    p_values = [
        seeds_test(base, new, d, common=3)
        for (base, new), d in zip(means, differences, strict=True)
    ]
    alarms = [simulations.is_worse(p, d) for p, d in zip(p_values, differences, strict=True)]
    assert np.mean(alarms) <= 0.05
    alone = means[:, 1, 0] - means[:, 0, 0]
    assert np.mean(alone < -0.01) > 0.3, "a single seed has many such alarms"


def test_the_numbers_of_the_page_follow_from_the_simulation() -> None:
    page = (DOCS / "statistics.md").read_text()
    assert simulations.with_tables(page) == page
    assert (DOCS / "statistics.svg").read_text().startswith("<?xml")


def test_a_page_without_a_place_for_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 places for the table 'coverage'"):
        simulations.with_tables("# What the statistics are worth")
