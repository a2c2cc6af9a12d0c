"""The plan of a run: its cells, each with its key and why it runs or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from metabench.benchmarks.cross_domain import CrossDomain
from metabench.benchmarks.model import Benchmark
from metabench.benchmarks.salt import salt_digest
from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.config import DEFAULT_RECIPE, Selection
from metabench.errors import MetabenchError, NotApplicable, NothingSelected, PluginError
from metabench.recipes.load import check_recipe_name
from metabench.recipes.resolve import BUDGET
from metabench.records.schema import Record, Status
from metabench.registry import Registry, describe_error
from metabench.running.cell import Cell
from metabench.running.resolve import ResolvedCell, ResolvedMetric, resolve
from metabench.running.selection import (
    check_benchmark,
    check_ranking_kind,
    select_algorithms,
    select_benchmarks,
    select_metrics,
)
from metabench.running.stored import CellState, StoredRecords
from metabench.utils.digest import digest_of
from metabench.utils.values import Value


@dataclass(frozen=True)
class Planned:
    """A cell with what is to be done about it.

    Attributes:
        cell: The cell.
        key: Its key.
        state: Whether its record is stored, or it is skipped.
        why: The reason for the state.
        record: Its record, if that is stored.
        training_key: The key of its checkpoint; cells that differ in the salt of their test
            episodes share it. Empty if the cell cannot run.
        ended: The status and reason of a cell that cannot run: its plugin is broken, or its
            algorithm has no such recipe for the benchmark.
        fresh: Whether to ignore its checkpoint.
        work: An estimate of its duration, see :func:`expected_work`.
        hyperparameters: All its hyper-parameters; empty if it cannot run.
    """

    cell: Cell
    key: str
    state: CellState
    why: str
    record: Record | None = None
    training_key: str = ""
    ended: tuple[Status, str] | None = None
    fresh: bool = False
    work: float = 0.0
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)


def plan(
    registry: Registry,
    selection: Selection,
    stored: Iterable[Record],
    *,
    data: Path | None = None,
    episodes_salt: str = "",
    fresh: bool = False,
    broken: Mapping[str, str] | None = None,
    on_open: Callable[[str], None] = lambda dataset: None,
) -> list[Planned]:
    """Returns the cells of a selection.

    Args:
        registry: What is installed.
        selection: What to run.
        stored: The stored records.
        data: The folder with one folder for each data set.
        episodes_salt: The secret that test episodes are drawn with; empty for the public ones.
        fresh: Whether to run from the beginning, whatever is stored.
        broken: Algorithms of broken plugins with the reason; each is listed and does not run.
        on_open: Called with the name of each data set before it is read.

    Raises:
        MetabenchError: If the selection is invalid.
    """
    algorithms = select_algorithms(registry, selection)
    if selection.recipe != DEFAULT_RECIPE:
        check_recipe_name(registry, selection.recipe)
    benchmarks = select_benchmarks(registry, selection)
    metrics = select_metrics(registry, selection)
    seeds = tuple(dict.fromkeys(selection.seeds))  # each once, in the order given
    if not (algorithms and benchmarks and seeds):
        raise NothingSelected(
            "no cell was selected.", hint="`metabench list algorithms` shows what is installed."
        )
    if episodes_salt:
        digest = salt_digest(episodes_salt)
        benchmarks = [benchmark.salted(digest) for benchmark in benchmarks]
    for benchmark in benchmarks:  # all of them, before the first data set is read
        check_benchmark(registry, benchmark)
    records = StoredRecords(stored)
    planned: list[Planned] = []
    for benchmark in benchmarks:
        tasks = open_benchmark(registry, benchmark, metrics, data, episodes_salt, on_open)
        for name in algorithms:
            overrides = dict(selection.set.get(name, {}))
            cells = [
                Cell(name, benchmark, seed, overrides, metrics, selection.recipe) for seed in seeds
            ]
            planned += [plan_cell(cell, tasks, registry, records, fresh=fresh) for cell in cells]
        for name, reason in (broken or {}).items():
            planned += [_broken(Cell(name, benchmark, seed, {}), reason) for seed in seeds]
    return planned


def expected_work(benchmark: Benchmark, hyperparameters: Mapping[str, Value]) -> float:
    """Returns an estimate of a cell's duration, in examples that its network processes.

    It is the budget, plus for each held-out episode its queries once and its support set as often
    as the largest number of steps or epochs among the hyper-parameters says. It is good enough to
    sort cells, not to predict seconds.

    Args:
        benchmark: The benchmark.
        hyperparameters: All hyper-parameters of the cell.
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


def open_benchmark(
    registry: Registry,
    benchmark: Benchmark,
    metrics: Iterable[str] = (),
    data: Path | None = None,
    salt: str = "",
    on_open: Callable[[str], None] = lambda dataset: None,
) -> BenchmarkTasks:
    """Open all data sets of a benchmark on the CPU, also those that only its metrics use.

    Args:
        registry: What is installed.
        benchmark: The benchmark.
        metrics: The metrics besides the one that ranks; by default those of the benchmark.
        data: The folder with one folder for each data set.
        salt: The secret of salted test episodes.
        on_open: Called with the name of each data set before it is read.

    Raises:
        MetabenchError: If a data set is missing, damaged or too small.
    """
    for dataset in filter(None, (benchmark.dataset, benchmark.test_dataset)):
        on_open(dataset)
    # On the CPU, whatever the device: the plan reads digests and sizes.
    tasks = open_tasks(registry, benchmark, data, torch.device("cpu"), salt=salt)
    tasks.check()  # first: it says so if the data set is of another kind than the protocol
    check_ranking_kind(registry, benchmark, tasks.problem(registry).kind)
    others: dict[str, None] = {}
    for name, options in benchmark.metric_options.items():  # without options, no metric has any
        if name in (metrics or benchmark.metrics):
            metric = ResolvedMetric(name, registry.get("metric", name), options).make()
            others |= dict.fromkeys(metric.datasets)
    for dataset in others:
        on_open(dataset)
        CrossDomain(tasks, registry, data)(dataset)
    return tasks


def plan_cell(
    cell: Cell,
    tasks: BenchmarkTasks,
    registry: Registry,
    records: StoredRecords,
    *,
    fresh: bool = False,
) -> Planned:
    """Returns a cell with its key and what is to be done about it.

    Args:
        cell: The cell.
        tasks: Its benchmark, opened.
        registry: What is installed.
        records: The stored records.
        fresh: Whether to run from the beginning, whatever is stored.

    Raises:
        UsageError: If an override is not a hyper-parameter, or has an invalid value.
    """
    try:
        resolved = resolve(cell, tasks, registry)
    except PluginError as error:
        # The plugin is broken from now on: --strict fails, and one warning shows the reason.
        spec = registry.get("algorithm", cell.algorithm)
        registry.on_broken("algorithm", spec, error.one_line)
        return _broken(cell, error.one_line)
    except NotApplicable as error:
        return _ended(cell, "skipped", error.message, error.message, state="skipped")
    except MetabenchError:
        raise
    except Exception as error:  # the algorithm's class is a plugin's code
        return _broken(cell, f"'{cell.algorithm}' cannot be used: {describe_error(error)}")
    state, why, record = records.find(resolved)
    if fresh and state == "stored":
        state, why = "stale", "requested again with --fresh"
    cell = resolved.cell
    if state == "stale" and record is not None:
        cell = _measuring_also(resolved, record, registry)
    values = resolved.algorithm.hyperparameters
    return Planned(
        cell,
        resolved.key,
        state,
        why,
        record if state == "stored" else None,
        training_key=resolved.training_key,
        fresh=fresh,
        work=expected_work(cell.benchmark, values),
        hyperparameters=values,
    )


def _measuring_also(resolved: ResolvedCell, record: Record, registry: Registry) -> Cell:
    """Returns the cell with the metrics of its record added, so that its new record keeps them."""
    cell = resolved.cell
    installed = registry.names("metric")
    kept = [name for name in record.metrics if name in installed and name not in cell.measured]
    return replace(cell, metrics=(*cell.measured, *kept)) if kept else cell


def _broken(cell: Cell, reason: str) -> Planned:
    prefix = "" if reason.startswith("its plugin is ") else "its plugin is broken: "
    return _ended(cell, "broken-plugin", reason, f"{prefix}{reason}", state="new")


def _ended(cell: Cell, status: Status, reason: str, why: str, *, state: CellState) -> Planned:
    # A real key would include the version and the hyper-parameters, which nobody knows.
    identity = {
        "ended": cell.algorithm,
        "recipe": cell.recipe,
        "benchmark": cell.benchmark.title,
        "seed": cell.seed,
    }
    return Planned(cell, digest_of(identity), state, why, ended=(status, reason))
