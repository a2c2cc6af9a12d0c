"""The promises of ``docs/statistics.md`` hold in simulation, and its numbers follow from it."""

import numpy as np
import pytest

from tests.helpers import retraining, simulations
from tests.helpers.simulations import ACCURACIES, DOCS, LENGTHS


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


# The comparison, with retraining noise as measured in leaderboards/ci.


def test_the_noise_is_that_of_the_committed_seeds() -> None:
    noise = retraining.measured(*retraining.cells()[0])
    assert len(noise.episodes) == 300
    again = retraining.retrained(noise, np.random.default_rng(0), 4000, 0.0)
    observed = again.mean(1).std(ddof=1)
    expected = (noise.seed_sd**2 + noise.residual_sd**2 / len(noise.episodes)) ** 0.5
    assert observed == pytest.approx(expected, rel=0.05)
    assert 0.003 < observed < 0.008


SLOW = {"marks": pytest.mark.slow}


@pytest.mark.parametrize(
    "seeds", [(3, 7), pytest.param((3, 3), **SLOW), pytest.param((7, 7), **SLOW)]
)
def test_retraining_alone_is_an_alarm_in_at_most_5_percent_of_tables(seeds) -> None:
    assert retraining.rates(seeds, 0.0)["alarm"] <= 0.05
    assert retraining.rates(seeds, 0.0, normal=False)["alarm"] <= 0.05


@pytest.mark.parametrize("seeds", [(3, 7), pytest.param((7, 7), **SLOW)])
def test_a_loss_of_two_points_is_worse_in_90_percent(seeds) -> None:
    assert retraining.rates(seeds, 0.02)["worse"] >= 0.9


@pytest.mark.slow
def test_one_new_seed_does_not_detect_two_points_and_more_seeds_detect_more() -> None:
    found = [retraining.rates(seeds, 0.02)["worse"] for seeds in ((1, 7), (2, 7), (3, 7))]
    assert found == sorted(found)
    assert found[0] < 0.9, "the page says that this promise is not met"


def test_a_single_new_seed_has_many_such_losses_by_chance() -> None:
    """So one seed a side warns only."""
    noise = retraining.measured(*retraining.cells()[0])
    rng = np.random.default_rng(1)
    base, new = (retraining.retrained(noise, rng, 4000, 0.0).mean(1) for _ in range(2))
    assert np.mean(new - base < -0.01) > 0.05


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_numbers_of_the_page_follow_from_the_simulation() -> None:
    page = (DOCS / "statistics.md").read_text()
    assert simulations.with_tables(page) == page
    assert (DOCS / "statistics.svg").read_text().startswith("<?xml")


def test_a_page_without_a_place_for_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 places for the table 'coverage'"):
        simulations.with_tables("# What the statistics are worth")
