"""Test episodes from another data set than the one of meta-training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.episodes import Sampler
from metabench.registry import Registry


@dataclass(frozen=True, eq=False)
class CrossDomain:
    """The meta-test episodes of a benchmark, drawn from other data sets with the same protocol.

    Args:
        tasks: The episodes of the benchmark, with the classes that its meta-training has drawn.
        registry: The installed data sets.
        root: The folder with one folder for each data set.
    """

    tasks: BenchmarkTasks
    registry: Registry
    root: Path | None

    def __call__(self, dataset: str) -> Sampler:
        """Returns the test episodes of a data set, opened with its default options.

        Raises:
            UnknownName: If there is no such data set.
            DataError: If its files are missing or damaged.
            ConfigError: If it has another kind of task, or inputs of another shape.
            ProtocolError: If it has too few classes or examples.
            LeakageError: If it has classes that meta-training has drawn.
        """
        benchmark = self.tasks.benchmark.model_copy(
            update={"test_dataset": dataset, "test_dataset_options": {}}
        )
        tasks = open_tasks(
            self.registry,
            benchmark,
            self.root,
            self.tasks.device,
            self.tasks.seed,
            salt=self.tasks.salt,
        )
        if self.tasks.pools:
            # Read the test split alone: the benchmark's own splits are in memory already.
            self.tasks.audit.check(tasks.pool("test").origins, split=f"test split of '{dataset}'")
        return tasks.held_out("test")
