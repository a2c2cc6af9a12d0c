"""The least difference that a comparison would detect, from measured variances of seeds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from metabench.benchmarks.model import Benchmark
from metabench.records.schema import Record
from metabench.records.selection import RecordSelection
from metabench.stats import least_difference
from metabench.utils.grouping import grouped

# Of the mean score. Seeds of an algorithm without training differ by nothing.
_NO_VARIATION = 1e-9


@dataclass(frozen=True)
class SeedNoise:
    """How much scores vary between seeds.

    Attributes:
        seed_sd: The standard deviation of the mean score over seeds; relative to the mean for a
            metric that is not a share.
        episode_sd: That of a seed's score in an episode, around the means of both.
        source: What was measured.
    """

    seed_sd: float
    episode_sd: float
    source: str


@dataclass(frozen=True)
class PlannedComparison:
    """What a comparison on one benchmark would detect.

    Attributes:
        benchmark: ``name@version``.
        metric: What the score is.
        seeds: The seeds of the new side.
        base_seeds: The seeds of the base.
        least_difference: The least true difference that is detected with the given power; a share
            of the mean if :attr:`relative`. ``None`` if neither side has two seeds.
        relative: Whether differences are relative, for a metric that is not a share.
        seed_sd: The standard deviation over seeds that this rests on.
        source: Where that was measured.
    """

    benchmark: str
    metric: str
    seeds: int
    base_seeds: int
    least_difference: float | None
    relative: bool
    seed_sd: float
    source: str


def plan_comparison(
    benchmark: Benchmark,
    records: Iterable[Record] = (),
    *,
    share: bool,
    seeds: int,
    base_seeds: int,
    cells: int = 1,
    min_effect: float = 0.01,
    alpha: float = 0.05,
    power: float = 0.9,
) -> PlannedComparison:
    """Returns what a comparison of two sides on a benchmark would detect.

    Args:
        benchmark: The benchmark.
        records: Records to measure the variation between seeds on; without any of this benchmark
            with two seeds, the shipped default is taken.
        share: Whether the metric that ranks is a share.
        seeds: The seeds of the new side.
        base_seeds: The seeds of the base.
        cells: The number of cells in the comparison, over which Holm's correction is.
        min_effect: The minimum effect of the comparison.
        alpha: The significance level of the comparison.
        power: The probability of detecting the difference.
    """
    noise = measured_noise(benchmark, records, share=share) or default_noise(share=share)
    least = least_difference(
        noise.seed_sd,
        seeds=seeds,
        base_seeds=base_seeds,
        episode_sd=noise.episode_sd,
        episodes=benchmark.test_episodes,
        min_effect=min_effect,
        alpha=alpha / cells,  # the first step of Holm's procedure, which is the strictest
        power=power,
    )
    return PlannedComparison(
        benchmark.title,
        benchmark.metrics[0],
        seeds,
        base_seeds,
        least if np.isfinite(least) else None,
        not share,
        noise.seed_sd,
        noise.source,
    )


def measured_noise(
    benchmark: Benchmark, records: Iterable[Record], *, share: bool
) -> SeedNoise | None:
    """Returns the variation between seeds in records of a benchmark, pooled over algorithms.

    Algorithms whose seeds do not differ at all are left out. Nothing if no algorithm has two
    seeds.
    """
    own = [r for r in records if r.status == "ok" and r.benchmark.title == benchmark.title]
    # The newest configuration only: other hyper-parameters would look like variation of seeds.
    kept = RecordSelection(own).with_valid_scores().latest().records
    found = []
    for label, group in grouped(kept, lambda r: r.algorithm.label).items():
        table = _table(group)
        if len(table) > 1 and np.ptp(table.mean(1)) > _NO_VARIATION * abs(table.mean()):
            found.append((label, table if share else table / table.mean()))
    if not found:
        return None
    freedom = sum(len(table) - 1 for _, table in found)
    of_seeds = sum((len(table) - 1) * table.mean(1).var(ddof=1) for _, table in found) / freedom
    of_episodes = sum(_residual_squares(table) for _, table in found) / freedom
    names = ", ".join(f"{label} ({len(table)} seeds)" for label, table in found)
    return SeedNoise(
        float(of_seeds) ** 0.5, float(of_episodes) ** 0.5, f"{names} on {benchmark.title}"
    )


def default_noise(*, share: bool) -> SeedNoise:
    """Returns the variation that is shipped, for a share or for another metric."""
    text = files("metabench.compare").joinpath("seed_noise.toml").read_text(encoding="utf-8")
    return SeedNoise(**tomllib.loads(text)["share" if share else "relative"])


def _table(records: Sequence[Record]) -> np.ndarray:
    """Returns the scores, ``[S, E]``."""
    return np.array([r.metrics[r.metric].episodes for r in records], dtype=np.float64)


def _residual_squares(table: np.ndarray) -> float:
    """Returns the sum over seeds of the variance of their effects on single episodes."""
    residuals = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    return float(np.square(residuals).sum() / (table.shape[1] - 1))
