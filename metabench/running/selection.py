"""The benchmarks, algorithms and metrics that a selection names."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metabench.benchmarks.model import Benchmark, collect_benchmarks, load_suites, read_suite
from metabench.config import Selection
from metabench.errors import (
    ConfigError,
    MetabenchError,
    PluginError,
    UnknownName,
    UsageError,
    did_you_mean,
)
from metabench.metrics.base import EpisodeMetric, ProblemKind
from metabench.metrics.options import make_metric
from metabench.registry import Registry, Spec, match_names

DEFAULT_SUITE = "core"


def select_benchmarks(registry: Registry, selection: Selection) -> list[Benchmark]:
    """Returns the selected benchmarks: of the suite, or of all suites if none is named.

    Raises:
        UnknownName: If there is no such suite or benchmark.
        ConfigError: If a suite file is invalid.
    """
    if not selection.suite and selection.benchmark:
        known = collect_benchmarks(load_suites(registry).values())
    elif selection.suite.endswith(".toml"):
        path = Path(selection.suite)
        suites = registry.names("suite")
        close = did_you_mean(path.stem, suites)  # `--suite core.toml`
        hint = f"The installed suites are {', '.join(suites)}.{close}"
        known = collect_benchmarks([read_suite(path, hint=hint)])
    else:
        path = registry.get("suite", selection.suite or DEFAULT_SUITE).load()
        known = collect_benchmarks([read_suite(path)])
    names = list(known)
    if selection.benchmark:
        try:
            names = match_names("benchmark", names, selection.benchmark)
        except UnknownName as error:
            if not selection.suite:
                raise
            raise _not_in_suite(registry, selection.suite, error.name, names) from None
    return [known[name].quickened() if selection.quick else known[name] for name in names]


def _not_in_suite(registry: Registry, suite: str, pattern: str, names: list[str]) -> UnknownName:
    """Returns the error for a benchmark that a suite lacks, which says where it is."""
    others = [
        name
        for name, other in load_suites(registry).items()
        if name != suite and fnmatch.filter([b.name for b in other.benchmark], pattern)
    ]
    hint = f"It has {', '.join(names)}."
    if others:
        hint += f"\nSuite '{others[0]}' has it: leave --suite out, or give --suite {others[0]}."
    return UnknownName("benchmark", pattern, names, where=f"in suite '{suite}'", hint=hint)


def check_benchmark(registry: Registry, benchmark: Benchmark) -> None:
    """Check that everything that a benchmark names is installed, and that its metric can rank.

    Raises:
        UnknownName: If a metric or the backbone is not installed.
        ConfigError: If the first metric does not score episodes, or a metric has no such option or
            refuses its value.
    """
    registry.get("backbone", benchmark.backbone)
    specs = [registry.get("metric", name) for name in benchmark.metrics]
    if not issubclass(specs[0].load(), EpisodeMetric):
        raise ConfigError(
            f"benchmark '{benchmark.name}' cannot be ranked by '{specs[0].name}', which does not "
            "score episodes.",
            hint="Put another metric first.",
        )
    for name, options in benchmark.metric_options.items():
        _check_metric_options(registry.get("metric", name), options, benchmark)


def _check_metric_options(spec: Spec, options: Mapping[str, Any], benchmark: Benchmark) -> None:
    try:
        make_metric(spec, options)
    except PluginError:
        raise
    except MetabenchError as error:
        message = f"benchmark '{benchmark.name}': {error.message}"
        raise ConfigError(message, hint=error.hint) from error
    except ValueError as error:  # the metric's own check of its options
        raise ConfigError(
            f"benchmark '{benchmark.name}': metric '{spec.name}' cannot be constructed with "
            f"{dict(options)}: {error}",
            hint="Change its table in metric_options.",
        ) from error
    except Exception:
        return  # a bug of a plugin's metric fails that metric alone, in the run


def check_ranking_kind(registry: Registry, benchmark: Benchmark, kind: ProblemKind) -> None:
    """Check that the metric that ranks a benchmark applies to its kind of problem.

    Args:
        registry: What is installed.
        benchmark: The benchmark.
        kind: What its data set is.

    Raises:
        ConfigError: If the metric does not apply.
    """
    spec = registry.get("metric", benchmark.metrics[0])
    if kind in spec.load().kinds:
        return
    usual = {"classification": "accuracy", "regression": "mse"}[kind]
    raise ConfigError(
        f"benchmark '{benchmark.name}' is {kind}, and cannot be ranked by '{spec.name}', which "
        f"applies to {' and '.join(spec.load().kinds)}.",
        hint=f"Put another metric first, such as '{usual}'.",
    )


def select_metrics(registry: Registry, selection: Selection) -> tuple[str, ...]:
    """Returns the names of the selected metrics; none means those of each benchmark.

    Raises:
        UnknownName: If there is no such metric.
    """
    if not selection.metrics:
        return ()
    names = registry.match("metric", selection.metrics)
    # The cost first: it reports the peak memory of everything before it.
    return tuple(sorted(names, key=lambda name: name != "cost"))


def named_algorithms(registry: Registry, selection: Selection) -> set[str]:
    """Returns the algorithms that a selection names: each pattern that selects a single one."""
    found = [registry.match("algorithm", [pattern]) for pattern in selection.algorithm]
    return {names[0] for names in found if len(names) == 1}


def select_algorithms(registry: Registry, selection: Selection) -> list[str]:
    """Returns the names of the selected algorithms; by default all.

    Raises:
        UnknownName: If there is no such algorithm.
        UsageError: If a hyper-parameter is set for an algorithm that is not selected.
        PluginError: If a selected algorithm is that of a broken plugin.
    """
    names = registry.names("algorithm")
    if selection.algorithm:
        names = registry.match("algorithm", selection.algorithm)
    for name in selection.set:
        if name not in names:
            registry.get("algorithm", name)  # an unknown name gets its own message
            raise UsageError(
                f"a hyper-parameter is set for '{name}', which is not selected.",
                hint=f"Selected are {', '.join(names)}.",
            )
    return names
