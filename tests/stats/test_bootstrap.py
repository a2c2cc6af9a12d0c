"""The bootstrap of mean scores, and the moderated variances of few seeds."""

import numpy as np
import pytest
from scipy import special

from metabench.stats.bootstrap import ClassSlots, bootstrap_means
from metabench.stats.clusters import class_values, cluster_moments
from metabench.stats.variances import moderated_variances

# Moderated variances.


def test_equal_variances_are_pooled_with_all_their_degrees_of_freedom() -> None:
    found = moderated_variances([1.0, 1.1, 0.9], [2, 4, 6])
    assert found.variances == pytest.approx([(2 + 4.4 + 5.4) / 12] * 3)
    assert found.freedom.tolist() == [12, 12, 12]


def test_variances_of_a_known_distribution_give_back_its_parameters() -> None:
    rng = np.random.default_rng(0)
    prior, common, own = 8.0, 3.0, 4
    true = common * prior / rng.chisquare(prior, size=200_000)
    observed = true * rng.chisquare(own, size=true.shape) / own
    found = moderated_variances(observed, np.full(true.shape, own))
    d0 = float(found.freedom[0]) - own
    assert d0 == pytest.approx(prior, rel=0.05)
    assert found.variances == pytest.approx((prior * common + own * observed) / (prior + own), 0.05)


def test_very_different_variances_are_hardly_changed() -> None:
    observed = np.array([1e-6, 1e-3, 1.0, 1e3])
    found = moderated_variances(observed, np.full(4, 20))
    assert found.variances == pytest.approx(observed, rel=0.35)


def test_a_variance_of_zero_and_a_single_variance_stay() -> None:
    found = moderated_variances([0.0, 1.0, 2.0], [2, 2, 2])
    assert found.variances[0] == 0.0
    assert moderated_variances([4.0], [2]) == (np.array([4.0]), np.array([2.0]))
    assert moderated_variances([], []).variances.shape == (0,)


def test_the_scale_of_the_scores_does_not_matter() -> None:
    observed, freedom = np.array([0.2, 3.0, 40.0]), np.array([2, 3, 4])
    small, large = (moderated_variances(c * observed, freedom) for c in (1.0, 1e6))
    assert large.variances == pytest.approx(1e6 * small.variances)
    assert large.freedom == pytest.approx(small.freedom)


# The bootstrap.


def scores_of(rng: np.random.Generator, *, seeds: int, sd: float, episodes: int = 300) -> list:
    shared = rng.normal(0, 0.1, episodes)
    return [
        0.7 + shared + rng.normal(0, sd, (seeds, 1)) + rng.normal(0, 0.05, (seeds, episodes))
        for _ in range(4)
    ]


def test_without_seeds_and_classes_the_variance_is_that_of_the_mean_over_episodes() -> None:
    scores = [one[:1] for one in scores_of(np.random.default_rng(1), seeds=1, sd=0.01)]
    found = bootstrap_means(scores)
    table = np.concatenate(scores)
    assert found.means == pytest.approx(table.mean(1))
    assert found.covariance == pytest.approx(np.cov(table) / table.shape[1])
    paired = (table[0] - table[1]).std(ddof=1) / table.shape[1] ** 0.5
    assert found.errors[0, 1] == pytest.approx(paired)


def test_the_seeds_add_their_pooled_variance_to_each_mean() -> None:
    scores = [np.array([[0.5], [0.5 + d], [0.5 - d]]).repeat(10, 1) for d in (0.02, 0.02)]
    found = bootstrap_means(scores)
    assert np.diag(found.covariance) == pytest.approx([0.02**2 / 3] * 2)
    assert found.errors[0, 1] == pytest.approx(0.02 * (2 / 3) ** 0.5)


def test_the_resamples_have_the_stated_covariance() -> None:
    rng = np.random.default_rng(2)
    classes = ClassSlots(
        np.argsort(rng.random((300, 60)), axis=1)[:, :5], rng.normal(0.7, 0.2, (4, 300, 5))
    )
    found = bootstrap_means(
        scores_of(rng, seeds=30, sd=0.01), classes=classes, resamples=40_000, seed=1
    )
    drawn = np.cov(found.deviations.T)
    scale = np.sqrt(np.diag(found.covariance))
    # A few percent wider: each source is drawn as uncertain as its few units leave it.
    assert drawn / np.outer(scale, scale) == pytest.approx(
        found.covariance / np.outer(scale, scale), abs=0.05
    )


def test_three_seeds_have_the_quantiles_of_students_distribution() -> None:
    scores = [np.array([[0.4], [0.5], [0.6]]).repeat(10, 1)]
    found = bootstrap_means(scores, resamples=100_000)
    expected = special.stdtrit(2, 0.975) * 0.1 / 3**0.5
    assert np.quantile(found.deviations, 0.975) == pytest.approx(expected, rel=0.05)


def test_the_covariance_of_clusters_is_that_of_their_independent_sums() -> None:
    """With one class an episode, and each cluster in ten of them, it is that of cluster means."""
    rng = np.random.default_rng(3)
    clusters = np.arange(200)[:, None] // 10
    shares = rng.normal(0.7, 0.1, (2, 20)).repeat(10, 1)[:, :, None]
    found = cluster_moments(clusters, shares)
    assert found.units == 20
    assert found.observed == pytest.approx(np.cov(shares[:, ::10, 0]) / 20)
    assert found.noise == pytest.approx(np.zeros((2, 2)), abs=1e-12)


def test_independent_classes_add_nothing_beyond_the_noise() -> None:
    rng = np.random.default_rng(4)
    shown = np.argsort(rng.random((3000, 30)), axis=1)[:, :5]
    found = cluster_moments(shown, rng.random((1, 3000, 5)))
    assert found.observed == pytest.approx(found.noise, rel=0.5)
    once = cluster_moments(np.arange(500).reshape(100, 5), rng.random((1, 100, 5)))
    assert once.observed == pytest.approx(once.noise, rel=0.01)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_class_is_credited_with_what_it_does_to_the_others(grouped: bool) -> None:
    """Known effects on the own queries and on those of others are both recovered."""
    rng = np.random.default_rng(5)
    own, on_others = rng.normal(0, 1, (2, 12))
    if grouped:
        index = rng.integers(0, 12, (40_000, 4))
    else:
        index = np.argsort(rng.random((40_000, 12)), axis=1)[:, :4]
    others = (on_others[index].sum(1, keepdims=True) - on_others[index]) / 3
    values = class_values(index, (own[index] + others)[None])[0]
    found = np.bincount(index.ravel(), weights=values.ravel()) / np.bincount(index.ravel())
    expected = own + on_others
    assert found - found.mean() == pytest.approx(expected - expected.mean(), abs=0.25)
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_the_resamples_depend_on_the_seed_alone() -> None:
    scores = scores_of(np.random.default_rng(4), seeds=3, sd=0.01)
    again = bootstrap_means(scores, seed=5).deviations
    assert (bootstrap_means(scores, seed=5).deviations == again).all()
    assert (bootstrap_means(scores, seed=6).deviations != again).any()
