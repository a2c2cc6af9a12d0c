"""A cell is run here, and only here: training and testing meet in no other place."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import math
import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metabench.algorithms.base import Algorithm, Value, resolve_hyperparameters
from metabench.errors import CellFailed, MetabenchError, NotApplicable, PluginError
from metabench.memory import keep_freed_memory
from metabench.metrics.base import EpisodeMetric, Measurement, Metric
from metabench.provenance import environment
from metabench.registry import Registry, Spec
from metabench.results import AlgorithmId, MetricResult, Record, Status, digest_of
from metabench.seeding import make_key
from metabench.stats import t_interval
from metabench.suites.model import Benchmark
from metabench.tasks import BenchmarkTasks, open_dataset
from metabench.training import Trainer
from metabench.trial import Predictions, Trial

Report = Callable[[dict[str, Any]], None]
"""Takes the events of a cell: ``phase``, ``done``, ``total``, ``score``."""

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
    """

    algorithm: str
    benchmark: Benchmark
    seed: int
    overrides: dict[str, Value]

    @property
    def title(self) -> str:
        """The cell in a few words, for people."""
        return f"{self.algorithm} on {self.benchmark.name}, seed {self.seed}"


@dataclass(frozen=True)
class Conditions:
    """How a cell is run; none of it belongs to its identity.

    Args:
        device: where it runs.
        threads: threads that PyTorch may use.
        data: the folder that holds one folder per data set.
        checkpoint: where checkpoints are written.
    """

    device: str = "cpu"
    threads: int = 1
    data: Path | None = None
    checkpoint: Path | None = None


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
    cls: type[Algorithm], tasks: BenchmarkTasks, registry: Registry, overrides: dict[str, Value]
) -> dict[str, Value]:
    """The hyper-parameters that a cell runs with, the budget among them.

    Raises:
        UsageError: an override cannot be.
    """
    problem = tasks.problem(registry)
    chosen = {k: v for k, v in overrides.items() if k != BUDGET}
    values = resolve_hyperparameters(cls, problem, chosen)
    recipe_budget = int(values.pop(BUDGET, 0))
    budget = int(overrides.get(BUDGET, recipe_budget)) or tasks.benchmark.budget
    values[BUDGET] = min(budget, tasks.benchmark.budget)
    return values


def identify(cell: Cell, spec: Spec, tasks: BenchmarkTasks, registry: Registry) -> Identity:
    """The identity of a cell.

    Raises:
        UsageError: a hyper-parameter cannot be.
        PluginError: the algorithm cannot be imported.
    """
    cls: type[Algorithm] = spec.load()
    algorithm = AlgorithmId(
        name=spec.name,
        version=cls.version,
        distribution=spec.distribution,
        distribution_version=_distribution_version(spec.distribution),
        library=cls.library,
        hyperparameters=hyperparameters_of(cls, tasks, registry, cell.overrides),
        overrides=cell.overrides,
    )
    key = digest_of(
        {
            "algorithm": f"{algorithm.distribution}:{algorithm.name}@{algorithm.version}",
            "hyperparameters": algorithm.hyperparameters,
            "benchmark": cell.benchmark.title,
            "seed": cell.seed,
            "data": tasks.data_digest,
        }
    )
    return Identity(algorithm, tasks.data_digest, key)


def run_cell(
    cell: Cell,
    registry: Registry,
    conditions: Conditions = Conditions(),
    report: Report = lambda event: None,
) -> Record:
    """Meta-train and meta-test one algorithm on one benchmark with one seed.

    Whatever goes wrong becomes the status of the record; only a KeyboardInterrupt leaves this function.
    """
    started = _now()
    keep_freed_memory()
    torch.set_num_threads(conditions.threads)
    record = Record(
        key="0" * 64,
        algorithm=AlgorithmId(name=cell.algorithm, overrides=cell.overrides),
        benchmark=cell.benchmark,
        seed=cell.seed,
        status="ok",
        started=started,
    )
    with _as_status(record), _deterministic():
        _run(cell, registry, conditions, report, record)
    record.finished = _now()
    return record


def _run(cell: Cell, registry: Registry, conditions: Conditions, report: Report, record: Record) -> None:
    report({"phase": "load"})
    device = torch.device(conditions.device)
    record.environment = environment(device=device, threads=conditions.threads)
    benchmark = cell.benchmark
    dataset = open_dataset(registry, benchmark.dataset, conditions.data, benchmark.dataset_options)
    tasks = BenchmarkTasks(benchmark, dataset, device, cell.seed)
    spec = registry.get("algorithm", cell.algorithm)
    identity = identify(cell, spec, tasks, registry)
    record.key, record.algorithm, record.data_digest = identity.key, identity.algorithm, identity.data_digest
    tasks.check()

    values = dict(identity.algorithm.hyperparameters)
    budget = int(values.pop(BUDGET))
    _seed_everything(make_key("cell", benchmark.title, cell.seed))
    cls: type[Algorithm] = spec.load()
    algorithm = cls(tasks.problem(registry), **values).to(device)

    metrics: dict[str, Metric] = {name: registry.get("metric", name).load()() for name in benchmark.metrics}
    main = metrics[benchmark.metrics[0]]
    if not isinstance(main, EpisodeMetric):
        raise CellFailed(f"'{main.name}' cannot rank: the first metric of a benchmark scores each episode.")

    trainer = Trainer(
        algorithm,
        tasks,
        budget=budget,
        validate=lambda: _validate(algorithm, tasks, main),
        direction=main.direction,
        key=identity.key,
        checkpoint=conditions.checkpoint,
        report=lambda done, score: report({"phase": "train", "done": done, "total": budget, "score": score}),
    )
    record.training = trainer.run()

    def on_episode(done: int, parts: list[Predictions]) -> None:
        score = sum(map(sum, map(main.scores, parts))) / done
        report({"phase": "test", "done": done, "total": benchmark.test_episodes, "score": score})

    algorithm.eval()
    sampler = tasks.held_out("test")
    trial = Trial(algorithm, sampler, benchmark.test_episodes, on_episode=on_episode)
    tasks.audit.check(sorted(tasks.drawn_origins("test", trial.predictions().classes)), split="test")
    record.episode_digest = sampler.digest(benchmark.test_episodes)
    for name, metric in metrics.items():
        record.metrics[name] = _result(metric, metric.measure(trial))
    if trial.leaked_state:
        record.notes.append(f"adaptation changed {', '.join(sorted(trial.leaked_state))}; it was put back")


def _validate(algorithm: Algorithm, tasks: BenchmarkTasks, metric: EpisodeMetric) -> float:
    """The mean score on the meta-validation episodes."""
    trial = Trial(algorithm, tasks.held_out("validation"), tasks.benchmark.validation_episodes)
    scores = metric.scores(trial.predictions())
    return sum(scores) / len(scores)


def _result(metric: Metric, found: Measurement) -> MetricResult:
    result = MetricResult(
        version=metric.version, direction=metric.direction, unit=metric.unit, values=found.values
    )
    if found.episodes:
        result.episodes = found.episodes
        mean, half_width = t_interval(found.episodes)
        result.mean, result.ci95 = mean, None if math.isnan(half_width) else half_width
    return result


@contextlib.contextmanager
def _as_status(record: Record) -> Iterator[None]:
    """What goes wrong inside becomes the status of the record."""
    try:
        yield
    except NotApplicable as error:
        record.status, record.reason = "skipped", error.message
    except PluginError as error:
        record.status, record.reason = "broken-plugin", error.message
    except MetabenchError as error:
        _fail(record, "failed", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        _fail(record, "out-of-memory", f"{type(error).__name__}: {error}")
    except Exception as error:
        _fail(record, "failed", f"{type(error).__name__}: {error}")


def _fail(record: Record, status: Status, reason: str) -> None:
    record.status, record.reason = status, reason
    record.traceback = traceback.format_exc()[-4000:]


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """The same bits from the same inputs, also on a GPU where it can; put back afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def _seed_everything(key: int) -> None:
    torch.manual_seed(key)
    random.seed(key)
    np.random.seed(key & 0xFFFF_FFFF)


def _distribution_version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
