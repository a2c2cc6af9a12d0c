"""The test episodes of other data sets, for a learner that was trained on one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.episodes import Sampler
from metabench.registry import Registry


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Meta-test as a benchmark has it, on other data: the same ways, shots and queries, frozen all the same.

    Args:
        tasks: the benchmark's own episodes; what its training has seen must not be met again.
        registry: what is installed.
        root: the folder that holds one folder per data set.
    """

    tasks: BenchmarkTasks
    registry: Registry
    root: Path | None

    def __call__(self, dataset: str) -> Sampler:
        """The test episodes of a data set, opened with its defaults.

        Raises:
            UnknownName: there is no such data set.
            DataError: its data are missing or damaged.
            ConfigError: it is of another kind, or its inputs have another shape.
            ProtocolError: it has too few classes or examples.
            LeakageError: it has classes that meta-training has seen.
        """
        there = self.tasks.benchmark.model_copy(
            update={"test_dataset": dataset, "test_dataset_options": {}}
        )
        tasks = open_tasks(self.registry, there, self.root, self.tasks.device, self.tasks.seed)
        if self.tasks.pools:
            # The test split alone: at home training and validation lie in memory already.
            self.tasks.audit.check(tasks.pool("test").origins, split=f"test split of '{dataset}'")
        return tasks.held_out("test")
