"""What a cell is, and what its results depend on."""

from __future__ import annotations

import importlib.metadata
import inspect
import math
from dataclasses import dataclass, replace

from metabench.algorithms.base import Algorithm, Value, resolve_hyperparameters
from metabench.benchmarks.model import QUICK_SHRINK, Benchmark
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.errors import PluginError, UsageError
from metabench.recipes.hyperparameters import recipe_for
from metabench.records.schema import AlgorithmId, key_of
from metabench.registry import Registry, Spec

BUDGET = "budget"
"""A hyper-parameter that every algorithm has: examples it draws at most; 0 means the benchmark's budget."""


@dataclass(frozen=True)
class Cell:
    """Algorithm x benchmark x seed.

    Args:
        algorithm: the name of the algorithm.
        benchmark: the benchmark.
        seed: the seed of its initialisation and its training episodes.
        overrides: hyper-parameters chosen by hand.
        metrics: what is measured beside the metric that ranks; by default what the benchmark names. It is no
            part of the cell's identity: the same trained algorithm is looked at, from more or fewer sides.
    """

    algorithm: str
    benchmark: Benchmark
    seed: int
    overrides: dict[str, Value]
    metrics: tuple[str, ...] = ()

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of the metrics that are measured; the first is the one that ranks."""
        return tuple(
            dict.fromkeys((self.benchmark.metrics[0], *(self.metrics or self.benchmark.metrics)))
        )

    @property
    def title(self) -> str:
        """The cell in a few words, for people."""
        return f"{self.algorithm} on {self.benchmark.name}, seed {self.seed}"


@dataclass(frozen=True)
class Identity:
    """What a cell's results depend on.

    Attributes:
        algorithm: the algorithm with its hyper-parameters.
        data_digest: the sha256 of the data.
        key: the sha256 of all of it.
    """

    algorithm: AlgorithmId
    data_digest: str
    key: str


def hyperparameters_of(
    spec: Spec,
    cls: type[Algorithm],
    tasks: BenchmarkTasks,
    registry: Registry,
    overrides: dict[str, Value],
) -> dict[str, Value]:
    """The hyper-parameters that a cell runs with, the budget among them.

    Raises:
        UsageError: an override cannot be.
        PluginError: a default is not a number, text or bool.
    """
    problem = tasks.problem(registry)
    chosen = {k: v for k, v in overrides.items() if k != BUDGET}
    if BUDGET in overrides:
        asked = _budget(cls.name, overrides[BUDGET]) or problem.budget
        problem = replace(problem, budget=min(asked, problem.budget))
    recipe_values = recipe_for(
        registry, cls, problem, name=spec.name, distribution=spec.distribution
    ).values
    values = resolve_hyperparameters(cls, chosen, recipe_values)
    recipe = _budget(cls.name, values.pop(BUDGET, 0))
    if tasks.benchmark.quick:
        recipe = -(-recipe // QUICK_SHRINK)  # rounded up: 0 would be the whole budget
    asks_less = recipe and BUDGET not in overrides
    values[BUDGET] = min(recipe, problem.budget) if asks_less else problem.budget
    given: dict[str, object] = dict(values)
    for name, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{cls.name}.{name} = {value} is not a finite number.")
        if not isinstance(value, (bool, int, float, str)):
            has = "no default" if value is inspect.Parameter.empty else f"the value {value!r}"
            raise PluginError(
                f"hyper-parameter '{name}' of '{cls.name}' has {has}; it must be a bool, int, float or str"
            )
    return values


def _budget(algorithm: str, value: Value) -> int:
    try:
        budget = int(str(value))
    except ValueError:
        budget = -1
    if budget < 0:
        raise UsageError(
            f"{algorithm}.{BUDGET} = {value!r} is not a number of examples.",
            hint="0 means the budget of the benchmark.",
        )
    return budget


def identify(cell: Cell, spec: Spec, tasks: BenchmarkTasks, registry: Registry) -> Identity:
    """The identity of a cell.

    Raises:
        UsageError: a hyper-parameter cannot be.
        PluginError: the algorithm cannot be imported, or is none.
    """
    cls = algorithm_class(spec)
    values = hyperparameters_of(spec, cls, tasks, registry, cell.overrides)
    algorithm = AlgorithmId(
        name=spec.name,
        version=str(cls.version),
        distribution=spec.distribution,
        distribution_version=_distribution_version(spec.distribution),
        library=str(cls.library or ""),
        hyperparameters=values,
        overrides={name: values[name] for name in cell.overrides},  # as they were read: 0.10 is 0.1
    )
    key = key_of(algorithm, cell.benchmark, cell.seed, tasks.data_digest)
    return Identity(algorithm, tasks.data_digest, key)


def algorithm_class(spec: Spec) -> type[Algorithm]:
    """The class that a plugin names.

    Raises:
        PluginError: it cannot be imported, or is no algorithm.
    """
    cls = spec.load()
    if not (isinstance(cls, type) and issubclass(cls, Algorithm)):
        raise PluginError(
            f"'{spec.name}' of '{spec.distribution}' does not derive from metabench.Algorithm: it is {cls!r}"
        )
    return cls


def _distribution_version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
