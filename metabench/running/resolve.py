"""Resolution of a cell: everything that its names stand for, looked up once."""

from __future__ import annotations

import importlib.metadata
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from metabench.algorithms.base import Algorithm, resolve_hyperparameters
from metabench.algorithms.problem import Problem
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.errors import CellFailed, PluginError, UsageError
from metabench.metrics.base import EpisodeMetric, Metric
from metabench.metrics.options import make_metric
from metabench.recipes.hyperparameters import recipe_for
from metabench.recipes.resolve import BUDGET
from metabench.records.schema import AlgorithmId, key_of
from metabench.registry import Registry, Spec
from metabench.running.cell import Cell
from metabench.utils.values import Value


@dataclass(frozen=True)
class ResolvedMetric:
    """A metric with its options. It is constructed on use: a broken one fails only itself.

    Args:
        name: The name that the benchmark or the user gives it.
        spec: The metric.
        options: Its keyword arguments.
    """

    name: str
    spec: Spec
    options: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The version of the metric's class.

        Raises:
            PluginError: If it cannot be imported.
        """
        return str(getattr(self.spec.load(), "version", "1"))

    def make(self) -> Metric:
        """Construct the metric.

        Raises:
            ConfigError: If it has no such option, or an option has the wrong type.
            PluginError: If it cannot be imported.
        """
        return make_metric(self.spec, self.options)

    def make_ranking(self) -> EpisodeMetric:
        """Construct the metric as the one that ranks.

        Raises:
            CellFailed: If it does not score single episodes.
        """
        metric = self.make()
        if not isinstance(metric, EpisodeMetric):
            raise CellFailed(
                f"'{metric.name}' cannot rank: the first metric of a benchmark must score each "
                "episode."
            )
        return metric


@dataclass(frozen=True)
class ResolvedCell:
    """A cell with everything that it consists of.

    Attributes:
        cell: The cell, with its overrides converted to the types of the hyper-parameters.
        key: The sha256 of all that its scores depend on.
        training_key: The same of the cell with public test episodes, which has the same training.
        tasks: The opened benchmark.
        problem: What the algorithm is constructed with.
        cls: The class of the algorithm.
        algorithm: The algorithm with its hyper-parameters, as the record states it.
        metrics: The metrics; the first one ranks.
    """

    cell: Cell
    key: str
    training_key: str
    tasks: BenchmarkTasks
    problem: Problem
    cls: type[Algorithm]
    algorithm: AlgorithmId
    metrics: tuple[ResolvedMetric, ...]

    @property
    def budget(self) -> int:
        """The number of examples that meta-training may draw."""
        return int(self.algorithm.hyperparameters[BUDGET])

    def make_algorithm(self) -> Algorithm:
        """Construct the algorithm on the device of the tasks, from the global random state."""
        values: dict[str, Any] = dict(self.algorithm.hyperparameters)
        del values[BUDGET]
        return self.cls(self.problem, **values).to(self.tasks.device)


def resolve(cell: Cell, tasks: BenchmarkTasks, registry: Registry) -> ResolvedCell:
    """Look up everything that a cell consists of.

    Args:
        cell: The cell.
        tasks: Its benchmark, opened.
        registry: The installed algorithms, backbones and metrics.

    Raises:
        UsageError: If an override is not a hyper-parameter, or has an invalid value.
        NotApplicable: If the algorithm has no such recipe for the benchmark.
        UnknownName: If the algorithm or a metric is not installed.
        PluginError: If the algorithm cannot be imported, or is invalid.
    """
    spec = registry.get("algorithm", cell.algorithm)
    cls = algorithm_class(spec)
    # With the whole budget of the benchmark, also if the user lowers that of the cell: only the
    # recipe knows the lower one.
    problem = tasks.problem(registry)
    values = hyperparameters_of(spec, cls, problem, cell, registry)
    overrides = {name: values[name] for name in cell.overrides}  # converted: 0.10 becomes 0.1
    algorithm = AlgorithmId(
        name=spec.name,
        version=str(cls.version),
        distribution=spec.distribution,
        distribution_version=_distribution_version(spec.distribution),
        library=str(cls.library or ""),
        recipe=cell.recipe,
        hyperparameters=values,
        overrides=overrides,
        pretrained_on=str(cls.pretrained_on or ""),
    )
    return ResolvedCell(
        cell=replace(cell, overrides=overrides),
        key=key_of(algorithm, cell.benchmark, cell.seed, tasks.data_digest),
        training_key=key_of(algorithm, cell.benchmark.public, cell.seed, tasks.data_digest),
        tasks=tasks,
        problem=problem,
        cls=cls,
        algorithm=algorithm,
        metrics=resolve_metrics(cell, registry),
    )


def resolve_metrics(cell: Cell, registry: Registry) -> tuple[ResolvedMetric, ...]:
    """Returns the metrics of a cell; the first one ranks.

    Raises:
        UnknownName: If one is not installed.
    """
    options = cell.benchmark.metric_options
    return tuple(
        ResolvedMetric(name, registry.get("metric", name), options.get(name, {}))
        for name in cell.measured
    )


def algorithm_class(spec: Spec) -> type[Algorithm]:
    """Returns the class of an algorithm.

    Raises:
        PluginError: If it cannot be imported, or does not derive from ``metabench.Algorithm``.
    """
    cls = spec.load()
    if not (isinstance(cls, type) and issubclass(cls, Algorithm)):
        raise PluginError(
            f"'{spec.name}' of '{spec.distribution}' does not derive from metabench.Algorithm: "
            f"it is {cls!r}"
        )
    return cls


def hyperparameters_of(
    spec: Spec, cls: type[Algorithm], problem: Problem, cell: Cell, registry: Registry
) -> dict[str, Value]:
    """Returns all hyper-parameters of a cell, with the budget among them.

    Raises:
        UsageError: If an override is not a hyper-parameter, or has an invalid value.
        PluginError: If a default is not a bool, int, float or str.
    """
    # No algorithm has the budget as an argument: it limits the stream.
    chosen = {name: value for name, value in cell.overrides.items() if name != BUDGET}
    whole = problem.budget
    if BUDGET in cell.overrides:
        asked = _parse_budget(cls.name, cell.overrides[BUDGET]) or whole
        problem = replace(problem, budget=min(asked, whole))  # a recipe may depend on it
    recipe = recipe_for(
        registry,
        cls,
        problem,
        recipe=cell.recipe,
        name=spec.name,
        distribution=spec.distribution,
    )
    values = resolve_hyperparameters(cls, chosen, recipe.values)
    # Every record states it: a user can lower the budget of a cell, which no board then takes.
    values[BUDGET] = problem.budget
    for name, value in values.items():
        _check_value(cls.name, name, value)
    return values


def _parse_budget(algorithm: str, value: Value) -> int:
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


def _check_value(algorithm: str, name: str, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{algorithm}.{name} = {value} is not a finite number.")
    if not isinstance(value, (bool, int, float, str)):
        has = "no default" if value is inspect.Parameter.empty else f"the value {value!r}"
        raise PluginError(
            f"hyper-parameter '{name}' of '{algorithm}' has {has}; "
            "it must be a bool, int, float or str"
        )


def _distribution_version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""  # a class of this process has its module's name here
