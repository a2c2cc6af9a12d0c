"""A cell: the unit that is planned, run and stored."""

from __future__ import annotations

from dataclasses import dataclass

from metabench.benchmarks.model import Benchmark
from metabench.config import DEFAULT_RECIPE
from metabench.utils.values import Value


@dataclass(frozen=True)
class Cell:
    """An algorithm on a benchmark with a seed.

    Args:
        algorithm: The name of the algorithm.
        benchmark: The benchmark.
        seed: The seed of its initialisation and of its training episodes.
        overrides: Hyper-parameters that the user set.
        metrics: The metrics besides the one that ranks; by default those of the benchmark. They are
            not part of the cell's identity: they look at the same trained algorithm.
        recipe: The name of the recipe that sets the other hyper-parameters.
    """

    algorithm: str
    benchmark: Benchmark
    seed: int
    overrides: dict[str, Value]
    metrics: tuple[str, ...] = ()
    recipe: str = DEFAULT_RECIPE

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of all metrics; the first one ranks."""
        ranking = self.benchmark.metrics[0]
        return tuple(dict.fromkeys((ranking, *(self.metrics or self.benchmark.metrics))))

    @property
    def title(self) -> str:
        """A short description for messages."""
        return f"{self.algorithm} on {self.benchmark.name}, seed {self.seed}"
