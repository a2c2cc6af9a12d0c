"""What a comparison would detect, from measured variances of seeds."""

from pathlib import Path

import numpy as np
import pytest

from metabench.benchmarks.model import read_suite
from metabench.compare.plan import default_noise, measured_noise, plan_comparison
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.stats import least_difference
from tests.helpers.cells import blobs, make_record, with_seeds

ROOT = Path(__file__).parents[2]
EPISODES = 200


def trained(algorithm: str, sd: float, *, seeds: int, mean: float = 0.7) -> list[Record]:
    """Records whose mean score over 200 episodes varies between seeds."""
    rng = np.random.default_rng(len(algorithm))
    shared = rng.normal(0, 0.05, EPISODES)
    return [
        make_record(
            algorithm,
            tuple(np.clip(mean + shared + rng.normal(0, sd), 0, 1).tolist()),
            seed=seed,
        )
        for seed in range(seeds)
    ]


BENCHMARK = blobs(metrics=("accuracy",), test_episodes=EPISODES)


def test_the_variance_of_seeds_is_pooled_over_algorithms() -> None:
    records = trained("a", 0.01, seeds=40) + trained("bb", 0.02, seeds=20)
    found = measured_noise(BENCHMARK, records, share=True)
    means = {
        name: [r.metrics["accuracy"].mean for r in records if r.algorithm.name == name]
        for name in ("a", "bb")
    }
    pooled = (39 * np.var(means["a"], ddof=1) + 19 * np.var(means["bb"], ddof=1)) / 58
    assert found.seed_sd == pytest.approx(pooled**0.5)
    assert found.episode_sd == pytest.approx(0, abs=1e-9)
    assert found.source == "a (40 seeds), bb (20 seeds) on blobs-3w1s@1"


def test_algorithms_that_do_not_vary_and_single_seeds_say_nothing() -> None:
    still = with_seeds(make_record("still", (0.5, 0.6) * 100))
    assert measured_noise(BENCHMARK, still + trained("a", 0.1, seeds=1), share=True) is None
    other = blobs(name="other", metrics=("accuracy",))
    assert measured_noise(other, trained("a", 0.1, seeds=5), share=True) is None


def test_the_variation_of_an_error_is_relative_to_its_mean() -> None:
    records = trained("a", 0.01, seeds=5)
    absolute, relative = (measured_noise(BENCHMARK, records, share=s) for s in (True, False))
    mean = np.mean([r.metrics["accuracy"].mean for r in records])
    assert relative.seed_sd == pytest.approx(absolute.seed_sd / mean)


def test_the_plan_states_the_least_difference_at_the_strictest_level() -> None:
    records = trained("a", 0.01, seeds=5)
    noise = measured_noise(BENCHMARK, records, share=True)
    plan = plan_comparison(BENCHMARK, records, share=True, seeds=3, base_seeds=7, cells=4)
    assert plan.least_difference == least_difference(
        noise.seed_sd,
        seeds=3,
        base_seeds=7,
        episode_sd=noise.episode_sd,
        episodes=EPISODES,
        min_effect=0.01,
        alpha=0.05 / 4,
    )
    assert plan.source == noise.source


def test_one_seed_a_side_detects_nothing() -> None:
    plan = plan_comparison(BENCHMARK, share=True, seeds=1, base_seeds=1)
    assert plan.least_difference is None
    assert plan.source.startswith("shipped default")


def test_the_shipped_defaults_are_those_of_the_committed_records() -> None:
    """Within 30 %, because the boards are measured again from time to time."""
    for board, number, share in (("ci", 0, True), ("sinusoid", 0, False)):
        records, _ = ResultsFolder(ROOT / "leaderboards" / board).load()
        suite = read_suite(ROOT / "metabench" / "benchmarks" / "suites" / f"{board}.toml")
        benchmark = suite.benchmark[number]
        found, shipped = measured_noise(benchmark, records, share=share), default_noise(share=share)
        assert shipped.seed_sd == pytest.approx(found.seed_sd, rel=0.3)
        assert shipped.episode_sd == pytest.approx(found.episode_sd, rel=0.3)
        assert benchmark.title in shipped.source
