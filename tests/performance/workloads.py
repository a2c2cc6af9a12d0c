"""The tasks and algorithms of the comparisons, from the built-in benchmarks."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from metabench.benchmarks.model import collect_benchmarks, load_suites
from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.episodes import NWayKShot, TaskBatch
from metabench.plugins import installed_plugins
from metabench.registry import Registry
from tests.performance.outer_steps import EveryParameter

GLYPHS = "glyphs-5w1s"
SINUSOID = "sinusoid-5s"


def registry() -> Registry:
    """Returns the registry of the installed plugins."""
    return installed_plugins().registry


def open_benchmark(name: str, device: str = "cpu", **changes: Any) -> BenchmarkTasks:
    """Returns a built-in benchmark with its data set opened, with the given changes."""
    found = registry()
    benchmark = collect_benchmarks(load_suites(found).values())[name]
    return open_tasks(found, benchmark.model_copy(update=changes), None, torch.device(device))


def glyph_tasks(
    tasks: int, queries: int, *, ways: int = 5, shots: int = 1, device: str = "cpu"
) -> TaskBatch:
    """Returns training tasks of 28x28 glyphs."""
    benchmark = open_benchmark(GLYPHS, device)
    return benchmark.sampler(NWayKShot(ways, shots, queries), 0).range(0, tasks)


def sinusoid_tasks(tasks: int, shots: int = 10, queries: int = 10) -> TaskBatch:
    """Returns training tasks of sine waves."""
    return open_benchmark(SINUSOID).sampler(NWayKShot(0, shots, queries), 0).range(0, tasks)


def as_double(batch: TaskBatch) -> TaskBatch:
    """Returns tasks with inputs (and targets of regression) in float64."""
    tensors = {name: t for name, t in vars(batch).items() if torch.is_tensor(t)}
    return dataclasses.replace(
        batch, **{k: t.double() for k, t in tensors.items() if t.is_floating_point()}
    )


def make_maml(benchmark: str, *, ways: int = 5, **options: Any) -> EveryParameter:
    """Returns MAML that adapts every parameter, for a benchmark's kind of problem.

    Args:
        benchmark: The name of the benchmark.
        ways: Classes in an episode of classification.
        options: Hyper-parameters.
    """
    torch.manual_seed(0)
    changes = {} if benchmark == SINUSOID else {"ways": ways}
    problem = open_benchmark(benchmark, **changes).problem(registry())
    return EveryParameter(problem, **options)
