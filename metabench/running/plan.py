"""From what is asked for to the list of cells, each with its key and why it runs or does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from metabench.benchmarks.cross_domain import Elsewhere
from metabench.benchmarks.model import Benchmark, collect_benchmarks, load_suites, read_suite
from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.errors import ConfigError, MetabenchError, NothingSelected, PluginError, UsageError
from metabench.metrics.base import EpisodeMetric
from metabench.metrics.options import check_options, make_metric
from metabench.records.schema import FINAL, AlgorithmId, Record, Value
from metabench.registry import Registry, describe_error, match_names
from metabench.running.cell import BUDGET, Cell, Identity, identify
from metabench.utils.digest import digest_of

State = Literal["stored", "new", "stale"]

DEFAULT_SUITE = "core"


@dataclass(frozen=True)
class Planned:
    """A cell and what is to be done about it.

    Attributes:
        cell: the cell.
        key: its key.
        state: ``stored`` (its record is there), ``new``, or ``stale`` (a record is there, of something else).
        why: the reason in words.
        record: the record, where it is stored.
        broken: why the plugin that brings its algorithm cannot be used; such a cell is never run.
        fresh: start from the beginning, whatever checkpoint there is.
        work: about how long it takes, see :func:`expected_work`.
    """

    cell: Cell
    key: str
    state: State
    why: str
    record: Record | None = None
    broken: str = ""
    fresh: bool = False
    work: float = 0.0


@dataclass(frozen=True)
class Selection:
    """What a run is asked for.

    Args:
        algorithms: globs; empty means every installed algorithm.
        benchmarks: globs over the benchmarks of the suite, or of all suites where none is named.
        suite: the name of a suite, or the path of a ``.toml`` file that is one; by default ``core``, unless
            benchmarks are named.
        seeds: the seeds.
        settings: hyper-parameters chosen by hand, by algorithm.
        quick: shrink every benchmark.
        fresh: run again what is stored.
        metrics: globs over the installed metrics: what is measured beside the metric that ranks, whatever
            the benchmark names; empty means what the benchmark names.
    """

    algorithms: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    suite: str = ""
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Mapping[str, Value]] | None = None
    quick: bool = False
    fresh: bool = False
    metrics: tuple[str, ...] = ()


def select_benchmarks(registry: Registry, selection: Selection) -> list[Benchmark]:
    """The benchmarks that are asked for.

    Raises:
        UnknownName: there is no such suite or benchmark.
        ConfigError: a suite file cannot be read.
    """
    if not selection.suite and selection.benchmarks:
        known = collect_benchmarks(load_suites(registry).values())
    elif selection.suite.endswith(".toml"):
        known = collect_benchmarks([read_suite(Path(selection.suite))])
    else:
        path = registry.get("suite", selection.suite or DEFAULT_SUITE).load()
        known = collect_benchmarks([read_suite(path)])
    names = list(known)
    if selection.benchmarks:
        names = match_names("benchmark", names, selection.benchmarks)
    return [known[name].quickened() if selection.quick else known[name] for name in names]


def check_names(registry: Registry, benchmark: Benchmark) -> None:
    """Raise an error where a benchmark names what nobody brings, or cannot rank.

    Raises:
        UnknownName: there is no such metric or backbone.
        ConfigError: its first metric has no score for each episode, or a metric has no such option.
    """
    registry.get("backbone", benchmark.backbone)
    specs = [registry.get("metric", name) for name in benchmark.metrics]
    if not issubclass(specs[0].load(), EpisodeMetric):
        raise ConfigError(
            f"benchmark '{benchmark.name}' cannot be ranked by '{specs[0].name}', which scores no episodes.",
            hint="Put another metric first.",
        )
    for name, options in benchmark.metric_options.items():
        try:
            check_options(registry.get("metric", name), options)
        except ConfigError as error:
            raise ConfigError(
                f"benchmark '{benchmark.name}': {error.message}", hint=error.hint
            ) from error


def select_metrics(registry: Registry, selection: Selection) -> tuple[str, ...]:
    """The names of the metrics that are asked for; none where the benchmarks' own are meant.

    Raises:
        UnknownName: there is no such metric.
    """
    if not selection.metrics:
        return ()
    names = registry.match("metric", selection.metrics)
    # The cost first: the peak memory that it tells is that of all that came before.
    return tuple(sorted(names, key=lambda name: name != "cost"))


def select_algorithms(registry: Registry, selection: Selection) -> list[str]:
    """The names of the algorithms that are asked for.

    Raises:
        UnknownName: there is no such algorithm, or a setting is for one that is not chosen.
        PluginError: a chosen algorithm is that of a broken plugin.
    """
    names = (
        registry.match("algorithm", selection.algorithms)
        if selection.algorithms
        else registry.names("algorithm")
    )
    for name in selection.settings or {}:
        if name not in names:
            registry.get("algorithm", name)
            raise UsageError(
                f"a setting is given for '{name}', which is not among the algorithms that are run.",
                hint=f"They are {', '.join(names)}.",
            )
    return names


def plan(
    registry: Registry,
    selection: Selection,
    stored: Iterable[Record],
    *,
    data: Path | None = None,
    broken: Mapping[str, str] | None = None,
    opened: Callable[[str], None] = lambda dataset: None,
) -> list[Planned]:
    """The cells of a selection.

    Args:
        registry: what is installed.
        selection: what is asked for.
        stored: the records that are there.
        data: the folder that holds one folder per data set.
        broken: algorithms of broken plugins with the reason; each becomes a row and is not run.
        opened: called with the name of each data set before it is read.

    Raises:
        MetabenchError: something that is asked for cannot be; nothing has been run then.
    """
    algorithms = select_algorithms(registry, selection)
    benchmarks = select_benchmarks(registry, selection)
    metrics = select_metrics(registry, selection)
    seeds = tuple(dict.fromkeys(selection.seeds))
    if not (algorithms and benchmarks and selection.seeds):
        raise NothingSelected(
            "no cell was selected.", hint="`metabench list algorithms` shows what there is."
        )
    by_key: dict[str, Record] = {}
    by_place: dict[tuple[object, ...], Record] = {}
    for record in sorted(stored, key=lambda r: r.finished):
        known = by_key.get(record.key)
        if known is None or known.status not in FINAL:
            by_key[record.key] = record
        by_place[_place(record.algorithm.label, record.benchmark, record.seed)] = record

    planned: list[Planned] = []
    for benchmark in benchmarks:
        check_names(registry, benchmark)
    for benchmark in benchmarks:
        for dataset in filter(None, (benchmark.dataset, benchmark.test_dataset)):
            opened(dataset)
        tasks = open_tasks(registry, benchmark, data, torch.device("cpu"))
        tasks.check()
        for dataset in _other_datasets(registry, benchmark, metrics):
            opened(dataset)
            Elsewhere(tasks, registry, data)(dataset)
        for name in algorithms:
            overrides = dict((selection.settings or {}).get(name, {}))
            cells = [Cell(name, benchmark, seed, overrides, metrics) for seed in seeds]
            planned += [_plan_cell(cell, tasks, registry, by_key, by_place) for cell in cells]
        for name, reason in (broken or {}).items():
            planned.extend(_broken(Cell(name, benchmark, seed, {}), reason) for seed in seeds)
    return [_again(p, registry) for p in planned] if selection.fresh else planned


def _other_datasets(registry: Registry, benchmark: Benchmark, metrics: Iterable[str]) -> list[str]:
    """The data sets that metrics will test on beside the benchmark's own."""
    found: dict[str, None] = {}
    for name, options in benchmark.metric_options.items():  # without options, none has any
        if name in (metrics or benchmark.metrics):
            found |= dict.fromkeys(make_metric(registry.get("metric", name), options).datasets)
    return list(found)


def expected_work(benchmark: Benchmark, hyperparameters: Mapping[str, Value]) -> float:
    """About how long a cell takes, in examples that a network sees; good for an order and for no more.

    Those of its budget, and in each held-out episode the queries once and the support as often as the
    greatest number of steps or epochs among its hyper-parameters says.

    Args:
        benchmark: the benchmark.
        hyperparameters: all that the cell runs with.
    """
    counts = [
        value
        for name, value in hyperparameters.items()
        if name.endswith(("steps", "epochs")) and isinstance(value, int)
    ]
    protocol = benchmark.protocol
    held_out = benchmark.test_episodes + benchmark.validations * benchmark.validation_episodes
    each = protocol.support_size * (1 + max(counts, default=0)) + protocol.query_size
    return float(hyperparameters[BUDGET]) + held_out * each


def _plan_cell(
    cell: Cell,
    tasks: BenchmarkTasks,
    registry: Registry,
    by_key: Mapping[str, Record],
    by_place: Mapping[tuple[object, ...], Record],
) -> Planned:
    try:
        identity = identify(cell, registry.get("algorithm", cell.algorithm), tasks, registry)
    except PluginError as error:
        return _broken(cell, error.message)
    except MetabenchError:
        raise
    except Exception as error:  # its class can do anything when it is looked at
        return _broken(cell, f"'{cell.algorithm}' cannot be used: {describe_error(error)}")
    cell = replace(cell, overrides=identity.algorithm.overrides)
    planned = _plan_known(cell, identity, registry, by_key, by_place)
    return replace(planned, work=expected_work(cell.benchmark, identity.algorithm.hyperparameters))


def _plan_known(
    cell: Cell,
    identity: Identity,
    registry: Registry,
    by_key: Mapping[str, Record],
    by_place: Mapping[tuple[object, ...], Record],
) -> Planned:
    """What is to be done about a cell whose key is known."""
    record = by_key.get(identity.key)
    if record is not None and record.status in FINAL:
        if record.benchmark.scored != cell.benchmark.scored:
            return Planned(
                cell, identity.key, "stale", _redefined(record.benchmark, cell.benchmark)
            )
        if record.status == "ok" and (why := _unmeasured(record, cell, registry)):
            return Planned(_keeping(cell, record, registry), identity.key, "stale", why)
        return Planned(cell, identity.key, "stored", "its record is there", record)
    if record is not None:
        return Planned(cell, identity.key, "new", f"the last attempt ended as {record.status}")
    other = by_place.get(_place(identity.algorithm.label, cell.benchmark, cell.seed))
    if other is not None and other.status in FINAL:
        return Planned(
            cell, identity.key, "stale", _difference(other, cell.benchmark, identity.algorithm)
        )
    return Planned(cell, identity.key, "new", "there is no record of it")


def _again(planned: Planned, registry: Registry) -> Planned:
    """The same, run from the beginning whatever is stored."""
    if planned.record is None:
        return replace(planned, fresh=True)
    cell = _keeping(planned.cell, planned.record, registry)
    why = "asked for again with --fresh"
    return replace(planned, cell=cell, state="stale", why=why, record=None, fresh=True)


def _unmeasured(record: Record, cell: Cell, registry: Registry) -> str:
    """Why a stored record does not tell what is asked for, though it is of this cell; empty where it does."""
    missing = [name for name in cell.measured if name not in record.metrics]
    if missing:
        return f"it was not measured for {', '.join(missing)}"
    for name in cell.measured:
        was, now = (b.metric_options.get(name, {}) for b in (record.benchmark, cell.benchmark))
        if was != now:
            return f"the options of {name} were {was} and are {now}"
        with contextlib.suppress(PluginError):  # then it says so when it is measured
            version = str(getattr(registry.get("metric", name).load(), "version", "1"))
            if version != record.metrics[name].version:
                return f"{name} was version {record.metrics[name].version} and is {version}"
    return ""


def _keeping(cell: Cell, record: Record, registry: Registry) -> Cell:
    """The same cell, measured for all that its record tells as well: running it again loses nothing."""
    installed = registry.names("metric")
    kept = [name for name in record.metrics if name in installed and name not in cell.measured]
    return replace(cell, metrics=(*cell.measured, *kept)) if kept else cell


def _broken(cell: Cell, reason: str) -> Planned:
    parts = {"broken": cell.algorithm, "benchmark": cell.benchmark.title, "seed": cell.seed}
    return Planned(cell, digest_of(parts), "new", "its plugin is broken", broken=reason)


def _place(label: str, benchmark: Benchmark, seed: int) -> tuple[object, ...]:
    return (label, benchmark.name, benchmark.quick, seed)


def _redefined(was: Benchmark, now: Benchmark) -> str:
    """What was changed in a benchmark without raising its version."""
    old, new = was.scored.model_dump(), now.scored.model_dump()
    changed = "; ".join(f"{k} was {old[k]} and is {new[k]}" for k in old if old[k] != new[k])
    return f"the benchmark was changed and is version {now.version} still: {changed}"


def _difference(old: Record, benchmark: Benchmark, algorithm: AlgorithmId) -> str:
    """What a stored record was made with that is another now."""
    if old.benchmark.version != benchmark.version:
        return f"the benchmark was version {old.benchmark.version} and is {benchmark.version}"
    if old.algorithm.distribution != algorithm.distribution:
        return (
            f"it was made by '{old.algorithm.distribution}' and not by '{algorithm.distribution}'"
        )
    if old.algorithm.version != algorithm.version:
        return f"the algorithm was version {old.algorithm.version} and is {algorithm.version}"
    was, now = old.algorithm.hyperparameters, algorithm.hyperparameters
    changed = [name for name in sorted(was.keys() | now.keys()) if was.get(name) != now.get(name)]
    if changed:
        return "; ".join(f"{name} was {was.get(name)} and is {now.get(name)}" for name in changed)
    return "the data are others than they were"
